// Checks synthesized templates with cdk-nag's AwsSolutions rules: node nag.js TEMPLATE...
//
// A finding must be fixed, or suppressed with a reason in the metadata cdk_nag of the resource. The program prints all
// findings and suppressions, and exits with status 1 if a finding is not suppressed. It is written in JavaScript because
// cdk-nag has no Go version. It deploys nothing.
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { App, Aspects, DefaultStackSynthesizer, Stack } = require('aws-cdk-lib');
const { CfnInclude } = require('aws-cdk-lib/cloudformation-include');
const { AwsSolutionsChecks } = require('cdk-nag');

// The template already has the parameters and rules of the assets, so the synthesizer must not add others.
const bare = () => new DefaultStackSynthesizer({ generateBootstrapVersionRule: false });

function findingsIn(template) {
  const outdir = fs.mkdtempSync(path.join(os.tmpdir(), 'nag-'));
  try {
    const app = new App({ outdir, analyticsReporting: false });
    const stack = new Stack(app, 'Checked', { synthesizer: bare() });
    new CfnInclude(stack, 'Template', { templateFile: template });
    Aspects.of(app).add(new AwsSolutionsChecks());
    return app.synth().getStackByName('Checked').messages
      .filter(({ level }) => level !== 'info')
      .map(({ id, entry }) => `${id.split('/').slice(3).join('/')}: ${String(entry.data).split('\n')[0]}`);
  } finally {
    fs.rmSync(outdir, { recursive: true, force: true });
  }
}

function suppressedIn(template) {
  const { Resources } = JSON.parse(fs.readFileSync(template, 'utf8'));
  return Object.entries(Resources).flatMap(([name, { Metadata }]) =>
    (Metadata?.cdk_nag?.rules_to_suppress ?? []).map(({ id, reason }) => `${name}: ${id}: ${reason}`));
}

const templates = process.argv.slice(2);
if (templates.length === 0) {
  console.error('usage: node nag.js TEMPLATE...');
  process.exit(2);
}
let left = 0;
for (const template of templates) {
  const findings = findingsIn(template);
  const suppressed = suppressedIn(template);
  console.log(`${path.basename(path.dirname(template))}: ${findings.length} findings, ${suppressed.length} suppressed`);
  findings.forEach((line) => console.log('  FOUND', line));
  suppressed.forEach((line) => console.log('  suppressed', line));
  left += findings.length;
}
process.exitCode = left === 0 ? 0 : 1;
