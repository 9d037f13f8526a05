# TAB behind `python train.py`, for fish. Elsewhere python is completed as before.
function __labbook_is_meant
    set -l words (commandline -opc)
    test (count $words) -ge 2; and string match -q '*train.py' -- $words[2]
    and grep -q '^from labbook' $words[2] 2>/dev/null
end
function __labbook_proposals
    set -l words (commandline -opc)
    $words[1] -P -m labbook.cli.completion (commandline -cp | string collect) 2>/dev/null
end
complete -c python -c python3 -n __labbook_is_meant -f -a '(__labbook_proposals)'
