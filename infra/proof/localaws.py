"""Runs a local AWS (a launcher on moto, given by its path) with the CloudFormation types that this stack has beside those it knows.

    python3 localaws.py LAUNCHER PORT

It listens on loopback only. The types without a backend of their own are taken as they are, and nothing comes of them.
"""
import copy
import importlib.util
import json
import signal
import sys

launcher, port = sys.argv[1], int(sys.argv[2])
spec = importlib.util.spec_from_file_location("launcher", launcher)
aws = importlib.util.module_from_spec(spec)
spec.loader.exec_module(aws)


def schedule_group(name, properties, account, region):
    from moto.scheduler.models import scheduler_backends

    name = properties.get("Name", name)[:64]
    return name, scheduler_backends[account][region].create_schedule_group(name, properties.get("Tags", []))


def dashboard(name, properties, account, region):
    from moto.cloudwatch.models import cloudwatch_backends

    cloudwatch_backends[account][region].put_dashboard(name, properties["DashboardBody"])
    return name, properties


def composite_alarm(name, properties, account, region):
    return name, f"arn:aws:cloudwatch:{region}:{account}:alarm:{properties['AlarmName']}"


def give_alarms_their_arn():
    from moto.cloudwatch.models import cloudwatch_backends
    from moto.core import DEFAULT_ACCOUNT_ID

    def arn(self, attribute):
        [found] = [a.alarm_arn for b in cloudwatch_backends[DEFAULT_ACCOUNT_ID].values() for a in b.alarms.values() if a.name == self.physical_resource_id]
        return found

    [alarm] = [model for model in aws.KEEP if model.cloudformation_type() == "AWS::CloudWatch::Alarm"]
    alarm.has_cfn_attr = classmethod(lambda cls, attribute: attribute == "Arn")
    alarm.get_cfn_attribute = arn


def tag_kms_key(tag):
    """CloudFormation's tags have a Key and a Value; moto hands them to KMS, whose tags have other names."""
    from moto.kms.models import KmsBackend

    tagged = KmsBackend.tag_resource

    def tag_resource(self, key_id, tags):
        return tagged(self, key_id, [tag(t) if "Key" in t else t for t in tags])

    KmsBackend.tag_resource = tag_resource


def start_machines_again():
    """moto copies a state machine with its executions, whose threads cannot be copied, so it could be started only once."""
    from moto.stepfunctions.models import StateMachineInstance

    def without_executions(self, memo):
        clone = copy.copy(self)
        clone.executions = []
        return clone

    StateMachineInstance.__deepcopy__ = without_executions


def name_parameters_as_boto_does():
    """moto hands the parameters of states:startExecution to boto3, which names them otherwise and takes the input as text."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import StateTaskServiceSfn

    def normalise(self, parameters, *_):
        for name in list(parameters):
            value = parameters.pop(name)
            parameters[name[0].lower() + name[1:]] = value if isinstance(value, str) else json.dumps(value)

    StateTaskServiceSfn._normalise_parameters = normalise


def substitute_in_definitions():
    """moto ignores DefinitionSubstitutions."""
    from moto.stepfunctions.models import StateMachine

    def substituting(method):
        def call(cls, *arguments, **named):
            for p in (a.get("Properties", {}) for a in (*arguments, *named.values()) if isinstance(a, dict)):
                for name, value in p.get("DefinitionSubstitutions", {}).items():
                    p["DefinitionString"] = p["DefinitionString"].replace("${" + name + "}", value)
            return method(cls, *arguments, **named)

        return classmethod(call)

    for name in ("create_from_cloudformation_json", "update_from_cloudformation_json"):
        setattr(StateMachine, name, substituting(getattr(StateMachine, name).__func__))


def tag_parameters():
    """The tags of a CloudFormation parameter are a map; moto takes a list."""
    from moto.ssm.models import SimpleSystemManagerBackend

    put = SimpleSystemManagerBackend.put_parameter

    def put_parameter(self, *arguments, **named):
        if isinstance(named.get("tags"), dict):
            named["tags"] = [{"Key": k, "Value": v} for k, v in named["tags"].items()]
        return put(self, *arguments, **named)

    SimpleSystemManagerBackend.put_parameter = put_parameter


def publish_to_topics():
    """moto's rules have no topics as targets. As EventBridge does, this inserts texts without escaping them."""
    from moto.events.models import Rule
    from moto.sns.models import sns_backends

    send = Rule.send_to_targets

    def send_to_targets(self, event, *more):
        others = copy.copy(self)
        others.targets = [t for t in self.targets if ":sns:" not in t["Arn"]]
        send(others, event, *more)
        if not self.event_pattern.matches_event(event):
            return
        for target in (t for t in self.targets if ":sns:" in t["Arn"]):
            text = target["InputTransformer"]["InputTemplate"]
            for name, path in target["InputTransformer"]["InputPathsMap"].items():
                value = event
                for field in path.split(".")[1:]:
                    value = value[field]
                text = text.replace("<" + name + ">", value)
            sns_backends[self.account_id][self.region_name].publish(json.loads(text), arn=target["Arn"])

    Rule.send_to_targets = send_to_targets


def accept_termination_protection():
    """The CDK's command switches it on when it updates a stack; moto has no such action."""
    from moto.cloudformation.responses import CloudFormationResponse
    from moto.core.responses import ActionResult

    def update_termination_protection(self):
        return ActionResult({"StackId": self.cloudformation_backend.get_stack(self._get_param("StackName")).stack_id})

    CloudFormationResponse.update_termination_protection = update_termination_protection


def stamp_log_events_in_whole_milliseconds():
    """moto writes a fraction, which the SDKs refuse: the model of CloudWatch Logs has whole numbers."""
    from moto.logs.models import LogEvent

    create = LogEvent.__init__

    def __init__(self, ingestion_time, log_event):
        create(self, int(ingestion_time), log_event)
        self.timestamp = int(self.timestamp)

    LogEvent.__init__ = __init__


def tag_functions():
    """moto leaves out the tags of a function that CloudFormation creates."""
    from moto.awslambda.models import LambdaFunction

    create = LambdaFunction.create_from_cloudformation_json.__func__

    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, *more, **named):
        function = create(cls, resource_name, cloudformation_json, *more, **named)
        function.tags = {t["Key"]: t["Value"] for t in cloudformation_json["Properties"].get("Tags", [])}
        return function

    LambdaFunction.create_from_cloudformation_json = classmethod(create_from_cloudformation_json)


def look_for_named_parameters_only():
    """moto also looks for the default of a parameter of SSM, which is of another stack, and fails if there is none."""
    parse = aws.parsing.ResourceMap.parse_ssm_parameter

    def parse_ssm_parameter(self, value, value_type):
        from moto.ssm.models import ssm_backends

        known = ssm_backends[self._account_id][self._region_name].get_parameter(value)
        return parse(self, value, value_type) if known else value

    aws.parsing.ResourceMap.parse_ssm_parameter = parse_ssm_parameter


def detach_policies_that_are_deleted():
    """CloudFormation detaches a managed policy before it deletes it; moto then refuses to delete the roles."""
    from moto.iam.models import ManagedPolicy, iam_backends

    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        backend = iam_backends[account_id]["aws"]
        for role in list(backend.roles.values()):
            if resource_name in role.managed_policies:
                backend.detach_role_policy(resource_name, role.name)
        backend.delete_policy(resource_name)

    ManagedPolicy.delete_from_cloudformation_json = classmethod(delete_from_cloudformation_json)


def keep_what_cannot_be_updated():
    """moto forgets a resource whose type it cannot update, such as a log group."""
    update = aws.parsing.parse_and_update_resource

    def parse_and_update_resource(logical_id, resource_json, resources_map, *more, **named):
        before = resources_map._parsed_resources.get(logical_id)
        after = update(logical_id, resource_json, resources_map, *more, **named)
        return before if after is None else after

    aws.parsing.parse_and_update_resource = parse_and_update_resource


start_machines_again()
stamp_log_events_in_whole_milliseconds()
detach_policies_that_are_deleted()
tag_functions()
look_for_named_parameters_only()
keep_what_cannot_be_updated()
accept_termination_protection()
publish_to_topics()
tag_parameters()
substitute_in_definitions()
name_parameters_as_boto_does()
give_alarms_their_arn()
tag_kms_key(lambda t: {"TagKey": t["Key"], "TagValue": t["Value"]})
aws.simple("AWS::Scheduler::ScheduleGroup", "Name", schedule_group, attrs={"Arn": lambda m: m.obj.arn})
aws.simple("AWS::CloudWatch::CompositeAlarm", "AlarmName", composite_alarm, attrs={"Arn": lambda m: m.obj})
aws.simple("AWS::CloudWatch::Dashboard", "DashboardName", dashboard)
aws.simple("AWS::Lambda::EventInvokeConfig", None, aws.noop)
for cached in (aws.parsing.get_model_list, aws.parsing.get_model_map, aws.parsing.get_name_type_map):
    cached.cache_clear()

aws.ENDPOINT = f"http://127.0.0.1:{port}"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
from moto.server import main  # noqa: E402, after the types above

sys.exit(main(["-H", "127.0.0.1", "-p", str(port)]))
