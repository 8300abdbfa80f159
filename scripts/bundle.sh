#!/usr/bin/env bash
# Makes a folder that runs on another machine: programs, tests, the libraries that they need and Open
# MPI, for one host. The C library, the GPU's driver and NCCL come from that machine.
#
#   scripts/bundle.sh [BUILD [TARGET]]       from build/ to build/bundle, unless told otherwise
#
# There:  TARGET/run weft --version;  TARGET/run mpirun -n 2 weft run job.yaml;  TARGET/gpu_tests.sh
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
target=${2:-$build/bundle}
most_mib=60

rm -rf "$target"
mkdir -p "$target/bin" "$target/lib" "$target/plugins" "$target/share"

for program in weft weft_cuda_tests weft_cuda_lab; do
  if [ -x "$build/bin/$program" ]; then install -s "$build/bin/$program" "$target/bin/"; fi
done
[ -x "$target/bin/weft" ] || { echo "$build/bin/weft is missing: build first" >&2; exit 1; }

mpirun=$(readlink -f "$(command -v mpirun)")
cp "$mpirun" "$target/bin/mpirun"
cp "$(readlink -f "$(command -v orted)")" "$target/bin/orted"

# What every Linux has, or what belongs to its driver.
system='^(ld-linux|libc\.so|libm\.so|libpthread|libdl\.so|librt\.so|libresolv|libutil|libnsl|libcuda\.so|libnvidia)'

# needs FILE… — the libraries of the files that are not the system's, one path for each line.
needs() {
  ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    while read -r path; do
      [[ $(basename "$path") =~ $system ]] || echo "$path"
    done
}
take() {
  local path
  while read -r path; do
    cp -nL "$path" "$target/lib/$(basename "$path")"
  done
}
needs "$target"/bin/* | take

# Open MPI's plugins, but those that need libraries for networks which the programs do not.
plugins=$(ompi_info --path pkglibdir --parsable | sed -n 's/^path:pkglibdir://p')
for plugin in "$plugins"/mca_*.so; do
  if ! needs "$plugin" | grep -qE 'libucp|libuct|libfabric|libibverbs|libpsm|libmunge|liboshmem|libmca_common_(ucx|ofi|verbs)'; then
    cp -L "$plugin" "$target/plugins/"
  fi
done
needs "$target"/plugins/*.so | take
cp -r "$(ompi_info --path pkgdatadir --parsable | sed -n 's/^path:pkgdatadir://p')" "$target/share/openmpi"
pmix=$(dirname "$(readlink -f "$target/lib/libpmix.so.2" 2>/dev/null || echo /none)")
for folder in /usr/lib/*/pmix2/lib/pmix "$pmix/pmix"; do
  [ -d "$folder" ] && mkdir -p "$target/lib/pmix" && cp -Ln "$folder"/*.so "$target/lib/pmix/" && break
done
if [ -d "$target/lib/pmix" ]; then needs "$target"/lib/pmix/*.so | take; fi
[ -d /usr/share/pmix2 ] && cp -r /usr/share/pmix2 "$target/share/pmix"
find "$target/lib" "$target/plugins" -name '*.so*' -exec strip --strip-unneeded {} + 2>/dev/null || true

cat >"$target/run" <<'RUN'
#!/usr/bin/env bash
# run COMMAND… — runs a program of this bundle, wherever the bundle lies.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export PATH="$here/bin:${PATH:-/usr/bin:/bin}"
export OPAL_PREFIX="$here" OPAL_LIBDIR="$here/lib" OPAL_PKGLIBDIR="$here/plugins"
export OPAL_BINDIR="$here/bin" OPAL_DATADIR="$here/share" OPAL_PKGDATADIR="$here/share/openmpi"
export OPAL_SYSCONFDIR="$here/share/openmpi"
export PMIX_INSTALL_PREFIX="$here" PMIX_LIBDIR="$here/lib" PMIX_PKGLIBDIR="$here/lib/pmix"
export PMIX_DATADIR="$here/share" PMIX_PKGDATADIR="$here/share/pmix"
export OMPI_MCA_plm=isolated OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export HOME="${HOME:-/tmp}"
exec "$@"
RUN
chmod +x "$target/run"
cp scripts/gpu_tests.sh scripts/bench_transformers.py scripts/gpu_model.py "$target/"

size=$(du -sm "$target" | cut -f1)
echo "$target: $size MiB"
if [ "$size" -gt "$most_mib" ]; then
  echo "more than $most_mib MiB" >&2
  exit 1
fi
