function __quilt_rotate_at
  set -l at quilt-rotate
  for word in (commandline -opc)[2..]
    switch "$at $word"
      case 'quilt-rotate bootstrap' \
        'quilt-rotate adopt' \
        'quilt-rotate status' \
        'quilt-rotate rotate' \
        'quilt-rotate revoke' \
        'quilt-rotate retire' \
        'quilt-rotate exec' \
        'quilt-rotate doctor' \
        'quilt-rotate emergency' \
        'quilt-rotate rollback' \
        'quilt-rotate recover' \
        'quilt-rotate unstick' \
        'quilt-rotate pause' \
        'quilt-rotate resume' \
        'quilt-rotate keys' \
        'quilt-rotate keys list' \
        'quilt-rotate keys get' \
        'quilt-rotate keys create' \
        'quilt-rotate keys revoke' \
        'quilt-rotate audit' \
        'quilt-rotate report' \
        'quilt-rotate trail' \
        'quilt-rotate version' \
        'quilt-rotate completion'
        set at "$at $word"
    end
  end
  test "$at" = "$argv"
end
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate' -f -a 'bootstrap adopt status rotate revoke retire exec doctor emergency rollback recover unstick pause resume keys audit report trail version completion'
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l user -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l field -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l key-name -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l expires-in-days -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l owner -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l plain
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l kms-key -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate bootstrap' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l field -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l key-name -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l expires-in-days -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l owner -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l schedule -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l window -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l rotate-function -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l grace -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l quiet -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l hold-limit -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l issuer -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l tag -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l anyway
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate adopt' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate status' -l revoke-function -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate status' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate status' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rotate' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rotate' -l timeout -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rotate' -l retry-for -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rotate' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate revoke' -l revoke-function -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate revoke' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate revoke' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate revoke' -l dry-run
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate revoke' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate retire' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate retire' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate retire' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate retire' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate retire' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate retire' -l user -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate retire' -l anyway
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate retire' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate exec' -l env -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate exec' -l check
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate exec' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate exec' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate exec' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate exec' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate doctor' -l no-probe
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate doctor' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate doctor' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate doctor' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate doctor' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate doctor' -l revoke-function -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate doctor' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l user -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l leaked-key
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l version -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l anyway
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l admin
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l skip-restart
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l restart-for -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l timeout -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l retry-for -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate emergency' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rollback' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rollback' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rollback' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rollback' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rollback' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rollback' -l new-owner
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rollback' -l to -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate rollback' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate recover' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate recover' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate recover' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate recover' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate recover' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate recover' -l user -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate recover' -l replace
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate recover' -l new-owner
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate recover' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate unstick' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate unstick' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate unstick' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate unstick' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate unstick' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate unstick' -l now
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate unstick' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate pause' -l all
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate pause' -l rotate-function -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate pause' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate pause' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate pause' -l for -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate pause' -l reason -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate pause' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate resume' -l all
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate resume' -l rotate-function -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate resume' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate resume' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate resume' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys' -f -a 'list get create revoke'
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l user -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l secret -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l admin
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l email -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l name -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l fingerprint -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l status -x -a 'ACTIVE EXPIRED'
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys list' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys get' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys get' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys get' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys get' -l user -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys get' -l secret -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys get' -l admin
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys get' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys get' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l user -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l secret -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l name -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l expires-in-days -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l output -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys create' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l from-stdin
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l anyway
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l user -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l secret -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l admin
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l yes -s y
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate keys revoke' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l registry -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l catalog -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l ca-bundle -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l user -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l secret -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l own
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l unused-days -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l expiring-days -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l format -x -a 'table json csv'
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l fail-on -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate audit' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate report' -l since -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate report' -l secret -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate report' -l max-gap -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate report' -l database -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate report' -l workgroup -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate report' -l format -x -a 'table json csv html'
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate report' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate report' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l days -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l key -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l failed
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l changes
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l summary
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l limit -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l sql
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l database -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l workgroup -r
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l format -x -a 'table json csv'
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l json
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate trail' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate version' -l help -s h
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate completion' -f -a 'bash zsh fish'
complete -c quilt-rotate -n '__quilt_rotate_at quilt-rotate completion' -l help -s h
