# Sourced by the other scripts: what the program needs from the system, and how to get it.
#
# Each line: a file or command whose absence shows that the package is missing, then the package.

weft_needs() {
  cat <<'LIST'
command:g++                                   g++
command:cmake                                 cmake
command:ninja                                 ninja-build
command:python3                               python3
command:pkg-config                            pkg-config
command:mpirun                                openmpi-bin
header:openmpi/include/mpi.h                  libopenmpi-dev
header:hdf5/serial/hdf5.h                     libhdf5-dev
header:yaml-cpp/yaml.h                        libyaml-cpp-dev
header:nlohmann/json.hpp                      nlohmann-json3-dev
header:CLI/CLI.hpp                            libcli11-dev
header:fmt/format.h                           libfmt-dev
header:zlib.h                                 zlib1g-dev
header:zstd.h                                 libzstd-dev
header:xxhash.h                               libxxhash-dev
header:pcre2.h                                libpcre2-dev
header:utf8proc.h                             libutf8proc-dev
header:sentencepiece_processor.h              libsentencepiece-dev
LIST
}

# Only the tests need these.
weft_test_needs() {
  cat <<'LIST'
header:catch2/catch.hpp,catch2/catch_test_macros.hpp  catch2
LIST
}

# What only continuous integration uses.
weft_ci_needs() {
  cat <<'LIST'
command:clang-format                          clang-format
command:ccache                                ccache
LIST
}

# The second MPI that the program must build with.
weft_mpich_needs() {
  cat <<'LIST'
command:mpicc.mpich                           libmpich-dev
LIST
}

# The second compiler that the program must build with.
weft_clang_needs() {
  cat <<'LIST'
command:clang++                               clang
file:/usr/lib/llvm-*/lib/libomp.so            libomp-dev
LIST
}

# weft_present KIND:NAME[,NAME…] — whether any of the names is there.
weft_present() {
  local kind=${1%%:*} names=${1#*:} name candidate
  for name in ${names//,/ }; do
    case $kind in
      command) command -v "$name" >/dev/null && return 0 ;;
      file) compgen -G "$name" >/dev/null && return 0 ;;
      header)
        for candidate in /usr/include/"$name" /usr/local/include/"$name" \
          /usr/include/*-linux-gnu/"$name" /usr/lib/*-linux-gnu/"$name"; do
          [ -e "$candidate" ] && return 0
        done ;;
    esac
  done
  return 1
}

# weft_install LISTS… — installs the missing packages of the lists when root, else names the first.
weft_install() {
  local missing=() probe package list
  for list in "$@"; do
    while read -r probe package; do
      weft_present "$probe" || missing+=("$package:$probe")
    done < <("$list")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[0]#*:}" >&2
    echo "It comes with the Debian package ${missing[0]%%:*}. All that are missing here:" >&2
    echo "  apt-get install ${missing[*]%%:*}" >&2
    return 2
  fi
  echo "Installing: ${missing[*]%%:*}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends ${missing[*]%%:*} >/dev/null
}

# weft_build DIRECTORY [CMAKE-FLAGS…] — configures where needed and builds $weft_targets, or everything.
weft_build() {
  local directory=$1
  shift
  cmake -S . -B "$directory" -G Ninja "$@" >"$directory.log" 2>&1 ||
    { cat "$directory.log" >&2; return 1; }
  cmake --build "$directory" --parallel "$(nproc)" --target ${weft_targets:-all}
}

# Open MPI asks to be told that running as root is meant, and binds ranks to single cores.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
weft_mpirun() {
  if mpirun --version 2>/dev/null | grep -q 'Open MPI'; then
    mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 "$@"
  else
    mpirun "$@"
  fi
}
