# Made from the lists of verbs and flags; do not edit.
_pintpot() {
    local word="${COMP_WORDS[COMP_CWORD]}" verb="${COMP_WORDS[1]}" flags=
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "batch bench doctor embed eval landmarks listen ls ocr pack plan profile ps pull rerank rm run serve show speak stop transcribe" -- "$word"))
        return
    fi
    case "$verb ${COMP_WORDS[2]}" in
        'bench kernels') flags="--type --threads --isa --output --help" ;;
        'bench peers') flags="--model --kv --llama --n-prompt --n-gen --repetitions --memory --threads --io --isa --output --help" ;;
        'bench report') flags="--model --kv --context --out --n-prompt --n-gen --n-depth --repetitions --budgets --llama --throttle --memory --threads --io --isa --help" ;;
        'bench sweep') flags="--model --context --kv --n-prompt --n-gen --repetitions --budgets --llama --throttle --threads --isa --output --help" ;;
        'batch '*) flags="--model --context --kv --memory --threads --io --isa --parallel --contexts --tokens --json --skip-weak --skip-cold --stand-in --by-sensitivity --help" ;;
        'bench '*) flags="--model --kv --foresee --n-prompt --n-gen --n-depth --repetitions --input --shape --memory --threads --io --isa --output --help" ;;
        'doctor '*) flags="--model --memory --threads --io --isa --json --help" ;;
        'embed '*) flags="--model --context --tokenizer --memory --threads --io --isa --input --pooling --no-normalize --out --json --stats --help" ;;
        'eval '*) flags="--text --reference --window --windows --model --context --kv --memory --threads --io --isa --skip-weak --skip-cold --stand-in --by-sensitivity --json --help" ;;
        'landmarks '*) flags="--models --out-dir --memory --threads --io --isa --plan --json --help" ;;
        'listen '*) flags="--threshold --models --json --memory --threads --io --isa --model --stats --help" ;;
        'ls '*) flags="--json --help" ;;
        'ocr '*) flags="--models --out --memory --threads --io --isa --plan --json --stats --help" ;;
        'pack '*) flags="--by-neuron --sparsity --stand-ins --text --memory --threads --io --isa --json --help" ;;
        'plan '*) flags="--model --context --kv --memory --threads --io --isa --sweep --budgets --n-prompt --n-gen --input --shape --image --pipeline --audio --out --json --help" ;;
        'profile '*) flags="--text --tokens --sensitivity --model --context --kv --memory --threads --io --isa --json --help" ;;
        'ps '*) flags="--host --port --api-key --json --help" ;;
        'pull '*) flags="--model --json --help" ;;
        'rerank '*) flags="--model --context --tokenizer --memory --threads --io --isa --query --input --json --stats --help" ;;
        'rm '*) flags=" --help" ;;
        'run '*) flags="--model --context --kv --memory --threads --io --isa --foresee --grammar --grammar-file --json-schema --json-schema-file --prompt --tokens --system --raw --stop --ignore-eos --overflow --yield --temp --top-k --top-p --min-p --seed --repeat-penalty --presence-penalty --frequency-penalty --logit-bias --skip-weak --skip-cold --stand-in --by-sensitivity --input --shape --image --pipeline --audio --text --out --threshold --top --out-dir --json --stats --help" ;;
        'serve '*) flags="--model --context --kv --memory --threads --io --isa --host --port --api-key --parallel --contexts --queue --connections --keep-alive --tokenizer --tokens --skip-weak --skip-cold --stand-in --by-sensitivity --help" ;;
        'show '*) flags="--model --context --kv --memory --threads --io --isa --json --help" ;;
        'speak '*) flags="--out --phonemes --noise --seed --memory --threads --io --isa --model --stats --help" ;;
        'stop '*) flags="--host --port --api-key --help" ;;
        'transcribe '*) flags="--language --task --timestamps --format --memory --threads --io --isa --model --json --stats --help" ;;
    esac
    case "$word" in
        -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}
complete -o filenames -F _pintpot pintpot
