_quilt_rotate() {
  local at=quilt-rotate previous=${COMP_WORDS[COMP_CWORD-1]} words= index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$at ${COMP_WORDS[index]}" in
    *' --') return ;;
    'quilt-rotate bootstrap' | \
    'quilt-rotate adopt' | \
    'quilt-rotate status' | \
    'quilt-rotate rotate' | \
    'quilt-rotate revoke' | \
    'quilt-rotate retire' | \
    'quilt-rotate exec' | \
    'quilt-rotate doctor' | \
    'quilt-rotate emergency' | \
    'quilt-rotate rollback' | \
    'quilt-rotate recover' | \
    'quilt-rotate unstick' | \
    'quilt-rotate pause' | \
    'quilt-rotate resume' | \
    'quilt-rotate keys' | \
    'quilt-rotate keys list' | \
    'quilt-rotate keys get' | \
    'quilt-rotate keys create' | \
    'quilt-rotate keys revoke' | \
    'quilt-rotate audit' | \
    'quilt-rotate report' | \
    'quilt-rotate trail' | \
    'quilt-rotate version' | \
    'quilt-rotate completion') at="$at ${COMP_WORDS[index]}" ;;
    esac
  done
  case $at in
  'quilt-rotate') words='bootstrap adopt status rotate revoke retire exec doctor emergency rollback recover unstick pause resume keys audit report trail version completion --help' ;;
  'quilt-rotate bootstrap') words='--registry --catalog --ca-bundle --user --field --key-name --expires-in-days --owner --json --yes --plain --kms-key --help' ;;
  'quilt-rotate adopt') words='--registry --catalog --ca-bundle --json --yes --field --key-name --expires-in-days --owner --schedule --window --rotate-function --grace --quiet --hold-limit --issuer --tag --anyway --help' ;;
  'quilt-rotate status') words='--revoke-function --json --help' ;;
  'quilt-rotate rotate') words='--json --timeout --retry-for --help' ;;
  'quilt-rotate revoke') words='--revoke-function --json --yes --dry-run --help' ;;
  'quilt-rotate retire') words='--registry --catalog --ca-bundle --json --yes --user --anyway --help' ;;
  'quilt-rotate exec') words='--env --check --registry --catalog --ca-bundle --help' ;;
  'quilt-rotate doctor') words='--no-probe --json --registry --catalog --ca-bundle --revoke-function --help' ;;
  'quilt-rotate emergency') words='--registry --catalog --ca-bundle --json --yes --user --leaked-key --version --anyway --admin --skip-restart --restart-for --timeout --retry-for --help' ;;
  'quilt-rotate rollback') words='--registry --catalog --ca-bundle --json --yes --new-owner --to --help' ;;
  'quilt-rotate recover') words='--registry --catalog --ca-bundle --json --yes --user --replace --new-owner --help' ;;
  'quilt-rotate unstick') words='--registry --catalog --ca-bundle --json --yes --now --help' ;;
  'quilt-rotate pause') words='--all --rotate-function --json --yes --for --reason --help' ;;
  'quilt-rotate resume') words='--all --rotate-function --json --yes --help' ;;
  'quilt-rotate keys') words='list get create revoke --help' ;;
  'quilt-rotate keys list') words='--registry --catalog --ca-bundle --user --secret --admin --json --email --name --fingerprint --status --help' ;;
  'quilt-rotate keys get') words='--registry --catalog --ca-bundle --user --secret --admin --json --help' ;;
  'quilt-rotate keys create') words='--registry --catalog --ca-bundle --user --secret --json --name --expires-in-days --output --help' ;;
  'quilt-rotate keys revoke') words='--from-stdin --anyway --registry --catalog --ca-bundle --user --secret --admin --yes --json --help' ;;
  'quilt-rotate audit') words='--registry --catalog --ca-bundle --user --secret --own --unused-days --expiring-days --format --json --fail-on --help' ;;
  'quilt-rotate report') words='--since --secret --max-gap --database --workgroup --format --json --help' ;;
  'quilt-rotate trail') words='--days --key --failed --changes --summary --limit --sql --database --workgroup --format --json --help' ;;
  'quilt-rotate version') words='--help' ;;
  'quilt-rotate completion') words='bash zsh fish --help' ;;
  esac
  case "$at $previous" in
  'quilt-rotate keys list --status') words='ACTIVE EXPIRED' ;;
  'quilt-rotate audit --format') words='table json csv' ;;
  'quilt-rotate report --format') words='table json csv html' ;;
  'quilt-rotate trail --format') words='table json csv' ;;
  'quilt-rotate bootstrap --registry' | \
  'quilt-rotate bootstrap --catalog' | \
  'quilt-rotate bootstrap --ca-bundle' | \
  'quilt-rotate bootstrap --user' | \
  'quilt-rotate bootstrap --field' | \
  'quilt-rotate bootstrap --key-name' | \
  'quilt-rotate bootstrap --expires-in-days' | \
  'quilt-rotate bootstrap --owner' | \
  'quilt-rotate bootstrap --kms-key' | \
  'quilt-rotate adopt --registry' | \
  'quilt-rotate adopt --catalog' | \
  'quilt-rotate adopt --ca-bundle' | \
  'quilt-rotate adopt --field' | \
  'quilt-rotate adopt --key-name' | \
  'quilt-rotate adopt --expires-in-days' | \
  'quilt-rotate adopt --owner' | \
  'quilt-rotate adopt --schedule' | \
  'quilt-rotate adopt --window' | \
  'quilt-rotate adopt --rotate-function' | \
  'quilt-rotate adopt --grace' | \
  'quilt-rotate adopt --quiet' | \
  'quilt-rotate adopt --hold-limit' | \
  'quilt-rotate adopt --issuer' | \
  'quilt-rotate adopt --tag' | \
  'quilt-rotate status --revoke-function' | \
  'quilt-rotate rotate --timeout' | \
  'quilt-rotate rotate --retry-for' | \
  'quilt-rotate revoke --revoke-function' | \
  'quilt-rotate retire --registry' | \
  'quilt-rotate retire --catalog' | \
  'quilt-rotate retire --ca-bundle' | \
  'quilt-rotate retire --user' | \
  'quilt-rotate exec --env' | \
  'quilt-rotate exec --registry' | \
  'quilt-rotate exec --catalog' | \
  'quilt-rotate exec --ca-bundle' | \
  'quilt-rotate doctor --registry' | \
  'quilt-rotate doctor --catalog' | \
  'quilt-rotate doctor --ca-bundle' | \
  'quilt-rotate doctor --revoke-function' | \
  'quilt-rotate emergency --registry' | \
  'quilt-rotate emergency --catalog' | \
  'quilt-rotate emergency --ca-bundle' | \
  'quilt-rotate emergency --user' | \
  'quilt-rotate emergency --version' | \
  'quilt-rotate emergency --restart-for' | \
  'quilt-rotate emergency --timeout' | \
  'quilt-rotate emergency --retry-for' | \
  'quilt-rotate rollback --registry' | \
  'quilt-rotate rollback --catalog' | \
  'quilt-rotate rollback --ca-bundle' | \
  'quilt-rotate rollback --to' | \
  'quilt-rotate recover --registry' | \
  'quilt-rotate recover --catalog' | \
  'quilt-rotate recover --ca-bundle' | \
  'quilt-rotate recover --user' | \
  'quilt-rotate unstick --registry' | \
  'quilt-rotate unstick --catalog' | \
  'quilt-rotate unstick --ca-bundle' | \
  'quilt-rotate pause --rotate-function' | \
  'quilt-rotate pause --for' | \
  'quilt-rotate pause --reason' | \
  'quilt-rotate resume --rotate-function' | \
  'quilt-rotate keys list --registry' | \
  'quilt-rotate keys list --catalog' | \
  'quilt-rotate keys list --ca-bundle' | \
  'quilt-rotate keys list --user' | \
  'quilt-rotate keys list --secret' | \
  'quilt-rotate keys list --email' | \
  'quilt-rotate keys list --name' | \
  'quilt-rotate keys list --fingerprint' | \
  'quilt-rotate keys get --registry' | \
  'quilt-rotate keys get --catalog' | \
  'quilt-rotate keys get --ca-bundle' | \
  'quilt-rotate keys get --user' | \
  'quilt-rotate keys get --secret' | \
  'quilt-rotate keys create --registry' | \
  'quilt-rotate keys create --catalog' | \
  'quilt-rotate keys create --ca-bundle' | \
  'quilt-rotate keys create --user' | \
  'quilt-rotate keys create --secret' | \
  'quilt-rotate keys create --name' | \
  'quilt-rotate keys create --expires-in-days' | \
  'quilt-rotate keys create --output' | \
  'quilt-rotate keys revoke --registry' | \
  'quilt-rotate keys revoke --catalog' | \
  'quilt-rotate keys revoke --ca-bundle' | \
  'quilt-rotate keys revoke --user' | \
  'quilt-rotate keys revoke --secret' | \
  'quilt-rotate audit --registry' | \
  'quilt-rotate audit --catalog' | \
  'quilt-rotate audit --ca-bundle' | \
  'quilt-rotate audit --user' | \
  'quilt-rotate audit --secret' | \
  'quilt-rotate audit --unused-days' | \
  'quilt-rotate audit --expiring-days' | \
  'quilt-rotate audit --fail-on' | \
  'quilt-rotate report --since' | \
  'quilt-rotate report --secret' | \
  'quilt-rotate report --max-gap' | \
  'quilt-rotate report --database' | \
  'quilt-rotate report --workgroup' | \
  'quilt-rotate trail --days' | \
  'quilt-rotate trail --key' | \
  'quilt-rotate trail --limit' | \
  'quilt-rotate trail --database' | \
  'quilt-rotate trail --workgroup') words= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _quilt_rotate quilt-rotate
