"""Spack recipe of weft. From the root of a checkout:

    spack repo add packaging/spack
    spack dev-build weft@main
"""

from spack.package import *


class Weft(CMakePackage, CudaPackage):
    """Offline batch jobs of large language models, under MPI."""

    license("Apache-2.0")
    version("main")  # of a checkout: spack dev-build

    variant("nccl", default=False, when="+cuda", description="Groups of GPUs over NCCL")

    depends_on("cxx", type="build")
    depends_on("cmake@3.22:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("hdf5")
    depends_on("yaml-cpp")
    depends_on("nlohmann-json")
    depends_on("cli11")
    depends_on("fmt")
    depends_on("zlib-api")
    depends_on("zstd")
    depends_on("xxhash")
    depends_on("pcre2")
    depends_on("utf8proc")
    depends_on("sentencepiece")
    depends_on("nccl", when="+nccl")

    conflicts("%gcc@:11", msg="weft is written in C++20")
    conflicts("+cuda", when="cuda_arch=none", msg="say which GPUs: cuda_arch=90a")

    generator("ninja")

    def cmake_args(self):
        args = [
            self.define("WEFT_TESTS", False),
            self.define_from_variant("WEFT_CUDA", "cuda"),
            self.define_from_variant("WEFT_NCCL", "nccl"),
        ]
        if self.spec.satisfies("+cuda"):
            args.append(
                self.define("CMAKE_CUDA_ARCHITECTURES", self.spec.variants["cuda_arch"].value)
            )
        return args
