# Make the environment of the course, bring it up to date, or leave it as it is. One that is half
# made, damaged, moved or copied is made anew, with a line that says so.
#   bash tools/set_up.sh VENV [PYTHON [TORCH [TORCH_OPTIONS ...]]]
# TORCH=cpu takes PyTorch's own index of builds without GPU libraries; TORCH_OPTIONS are further
# options of pip for torch alone.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
venv=$1 wanted=${2:-} torch=${3:-}
torch_options=("${@:4}")
python=$venv/bin/python
here=$(pwd -P)
CPU_BUILDS=https://download.pytorch.org/whl/cpu
FITS='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
IS_OURS='import os, sys, course_lib
sys.exit(not os.path.samefile(os.path.dirname(course_lib.__file__), sys.argv[1]))'

stop() {
    printf '%s\n' "$@" >&2
    exit 1
}

stopped() {
    printf '\n%s\n' "Set-up stopped before its end. Run the same command again when you like." >&2
    exit 130
}
trap stopped INT TERM HUP

inside() { # is the environment in the course folder, and so ours to make anew?
    case "$(cd "$(dirname "$venv")" 2>/dev/null && pwd -P)/" in "$here"/*) return 0 ;; esac
    return 1
}

half_installed() { # pip writes RECORD last, and keeps what it replaces as ~name until then
    local folder
    for folder in "$venv"/lib/python*/site-packages/*.dist-info; do
        [ ! -d "$folder" ] || [ -s "$folder/RECORD" ] || return 0
    done
    compgen -G "$venv/lib/python*/site-packages/~*" >/dev/null
}

with_gpu_libraries() { compgen -G "$venv/lib/python*/site-packages/nvidia*" >/dev/null; }

current() {
    [ -f "$venv/.ready" ] && [ ! pyproject.toml -nt "$venv/.ready" ] &&
        [ ! requirements.lock -nt "$venv/.ready" ]
}

why_anew() { # the reason for which what is there cannot be used, or nothing
    if ! "$python" -c '' 2>/dev/null; then
        echo "it is not finished, or its Python is gone"
    elif ! "$python" -c "$FITS"; then
        echo "its Python is not 3.11, 3.12 or 3.13"
    elif [ -e "$venv/.unfinished" ]; then
        echo "an earlier set-up was interrupted"
    elif [ -f "$venv/.made-in" ] && [ "$(cat "$venv/.made-in")" != "$(cd "$venv" && pwd -P)" ]; then
        echo "the folder was moved, renamed or copied"
    elif ! "$python" -I -c 'import pip' 2>/dev/null || half_installed; then
        echo "an earlier set-up did not finish"
    elif [ -f "$venv/.ready" ] && inside && [ ! -f "$venv/.made-in" ] &&
        ! "$python" -I -c "$IS_OURS" "$here/course_lib" 2>/dev/null; then
        echo "the folder was moved, renamed or copied"
    elif [ "$torch" = cpu ] && with_gpu_libraries; then
        echo "it holds the GPU libraries"
    fi
}

announce() { # what is coming, before anything is fetched
    local size=2.0 free
    local version=$("$python" -c 'import platform; print(platform.python_version())')
    case "$(uname -s) $torch ${torch_options[*]-}" in
        Linux*cpu*) ;;
        Linux*) size=5.7 ;;
    esac
    echo "Setting up the course in $venv with Python $version. This takes some minutes, most of them"
    echo "for what has to be fetched: with everything unpacked it is about $size GB."
    if [ $size = 5.7 ]; then
        echo "Most of it is PyTorch's GPU libraries, which the course does not need. For 2.0 GB"
        echo "instead, press Ctrl-C and give: make lab TORCH=cpu"
    fi
    free=$(df -Pk "$venv" 2>/dev/null | awk 'NR == 2 { printf "%d", $4 / 1000 / 1000 * 1.024 }')
    if [ -n "$free" ] && [ "$free" -lt "${size%.*}" ]; then
        echo "Only about $free GB are free on this disk, so this may fail."
    fi
}

create() {
    local base said
    [ -w . ] || stop "Nothing can be written in $here." \
        "Copy the course into a folder of your own and run the command there."
    base=$(bash tools/find_python.sh "$wanted") || exit 1
    if [ -d "$venv" ]; then # stopped half-way through gigabytes, what is left must not look whole
        : >"$venv/.unfinished" || stop "Nothing can be written in $venv: is it another user's?"
        find "$venv/" -mindepth 1 -maxdepth 1 ! -name .unfinished -exec rm -rf {} +
    else
        rm -f "$venv" # a file, or a link that leads nowhere
    fi
    # What it says is kept back: stopped by Ctrl-C it would print a traceback.
    if ! said=$("$base" -m venv --clear "$venv" 2>&1 && "$python" -m pip --version 2>&1); then
        stop "$said" "The environment $venv could not be made: the reason stands above." \
            "Once that is repaired, run the same command again."
    fi
    (cd "$venv" && pwd -P) >"$venv/.made-in"
}

counted() { # pip's lines about a hundred packages, as a count that moves
    local line name number=0 end='\n'
    [ ! -t 1 ] || end='\033[K\r'
    while IFS= read -r line; do
        case $line in
            Collecting*)
                number=$((number + 1)) name=${line#Collecting } name=${name%%[<>=~!( ;[]*}
                [ -t 1 ] || [ $((number % 10)) = 1 ] || continue
                printf "  package %d: %s$end" "$number" "$name"
                ;;
            "Installing collected"*)
                printf "  all %d packages are here; unpacking takes a minute or two$end" "$number"
                ;;
        esac
    done
    [ ! -t 1 ] || printf '\033[K'
}

link_course() { # by a relative path, which a renamed folder keeps and every encoding can write
    local link
    [ "$(cd "$(dirname "$venv")" && pwd -P)" = "$here" ] || return 0
    for link in "$venv"/lib/python*/site-packages/*course_lib*.pth; do
        [ ! -f "$link" ] || echo ../../../.. >"$link"
    done
}

install() {
    local options=(${torch_options[@]+"${torch_options[@]}"})
    [ "$torch" != cpu ] || options+=(--index-url "$CPU_BUILDS") # alone, or the larger build may win
    echo "Step 1 of 3: PyTorch"
    # By its exact version and first, so that a CPU build which pip finds on this machine is taken.
    "$python" -m pip install ${options[@]+"${options[@]}"} "$(grep '^torch==' requirements.lock)" &&
        echo "Step 2 of 3: JupyterLab and the other packages" &&
        "$python" -m pip install -c requirements.lock -e '.[dev,grading]' | counted &&
        link_course &&
        echo "Step 3 of 3: do they fit together?" &&
        "$python" -m pip check
}

[ -z "$torch" ] || [ "$torch" = cpu ] || stop "TORCH=$torch is unknown. There is TORCH=cpu only."
if [ -L "$venv" ] || { [ -e "$venv" ] && [ -n "$(ls -A "$venv")" ]; }; then
    reason=$(why_anew)
    if [ -n "$reason" ] && ! inside; then
        stop "The environment $venv cannot be used: $reason. Delete it, or choose another VENV."
    elif [ -n "$reason" ]; then
        echo "The environment $venv is made anew: $reason."
        create
    elif current; then
        exit 0
    fi
else
    create
fi
announce
: >"$venv/.unfinished" || stop "Nothing can be written in $venv: is it another user's?"
if ! install; then
    half_installed || rm -f "$venv/.unfinished" # pip gave up before it changed anything
    stop "The set-up did not finish: the reason stands above, often the network or a full disk." \
        "Once that is repaired, run the same command again."
fi
rm -f "$venv/.unfinished"
touch "$venv/.ready"
