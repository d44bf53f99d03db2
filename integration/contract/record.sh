#!/bin/sh
# Stands in a runtime's place: writes down how it is called, then becomes the runtime.
#
# The stage (integration/clients/stage.py) puts it where the clients look, with two words filled in: where the real runtime
# is, and the directory for what is recorded. Each call is a directory of its own there, named by its time:
#
#   argv, environ   word by word, each ended by a NUL       cwd, umask
#   fd              number and target of each descriptor    signals    those blocked and ignored
#   config.json     of the bundle                           process, resources    what the options name
#
# A shell script and no more: it must not change the signals and descriptors that it tells about.
call=$(mktemp -d "@RECORD@/$(date +%s%N).XXXXXX") && chmod 755 "$call"
me=/proc/$$
printf '%s\0' "$@" >"$call/argv"
cat $me/environ >"$call/environ"
readlink $me/cwd >"$call/cwd"
umask >"$call/umask"
grep -E '^Sig(Blk|Ign):' $me/status >"$call/signals"
# In a subshell, for a redirection of the shell's own would show. Its script is one of them, at 10 or above.
(ls -l $me/fd >"$call/fd")

bundle=. stdin=
previous=
for word in "$@"; do
    case $previous in
        --bundle | -b) bundle=$word ;;
        --process | -p) cp "$word" "$call/process" ;;
        --resources | -r) [ "$word" = - ] && stdin=yes || cp "$word" "$call/resources" ;;
    esac
    case $word in
        --resources=-) stdin=yes ;;
        --resources=*) cp "${word#*=}" "$call/resources" ;;
        create | run | restore) wants_config=yes ;;
    esac
    previous=$word
done
if [ "${wants_config-}" ]; then
    cp "$bundle/config.json" "$call/config.json"
fi
if [ "$stdin" ]; then
    cat >"$call/resources"
    exec @RUNTIME@ "$@" <"$call/resources"
fi
exec @RUNTIME@ "$@"
