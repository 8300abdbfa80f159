#include "cuda/cublaslt_products.cuh"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "cuda/cublaslt_api.cuh"
#include "cuda/platform/cuda_check.cuh"

namespace weft {
namespace {

/// Kernels that are timed for a kind of product, and runs of each.
constexpr int kCandidates = 8;
constexpr int kRuns = 3;

const CublasLtApi& api() { return *cublaslt_api(); }

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail("cublasLt{} failed with status {}", call, static_cast<int>(status));
}

/// Owns one of the library's descriptions.
template <class T, auto Destroy>
class Description {
 public:
  Description() = default;
  Description(const Description&) = delete;
  Description& operator=(const Description&) = delete;
  ~Description() {
    if (value_ != nullptr) (void)(api().*Destroy)(value_);
  }
  [[nodiscard]] T get() const { return value_; }
  [[nodiscard]] T* out() { return &value_; }

 private:
  T value_ = nullptr;
};
using Operation = Description<cublasLtMatmulDesc_t, &CublasLtApi::MatmulDescDestroy>;
using MatrixLayout = Description<cublasLtMatrixLayout_t, &CublasLtApi::MatrixLayoutDestroy>;
using Preference = Description<cublasLtMatmulPreference_t, &CublasLtApi::MatmulPreferenceDestroy>;
using Library = Description<cublasLtHandle_t, &CublasLtApi::Destroy>;

/// The largest power of two that divides an address, as far as kernels care.
std::uint32_t alignment_of(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  return at == 0 ? 256U : 1U << std::min(8, std::countr_zero(at));
}

/// One product in the library's words. It counts by columns: out^T [outputs, rows] is
/// (w^T)^T [outputs, depth] times x^T [depth, rows].
class Problem {
 public:
  explicit Problem(const LibraryProduct& product) : product_(product) {
    check(api().MatmulDescCreate(operation_.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "MatmulDescCreate");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check(api().MatmulDescSetAttribute(operation_.get(), CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                       sizeof transposed),
          "MatmulDescSetAttribute");
    layout(w_, CUDA_R_16BF, product.depth, product.outputs, product.w_stride);
    layout(x_, CUDA_R_16BF, product.depth, product.rows, product.x_stride);
    layout(out_, CUDA_R_32F, product.outputs, product.rows, product.outputs);
  }

  /// Kernels that the library proposes, the likely best first.
  [[nodiscard]] std::vector<cublasLtMatmulAlgo_t> proposals(cublasLtHandle_t library, Bytes bytes,
                                                            int most) const {
    Preference preference;
    check(api().MatmulPreferenceCreate(preference.out()), "MatmulPreferenceCreate");
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      check(api().MatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
            "MatmulPreferenceSetAttribute");
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(product_.w));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(product_.x));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(product_.out));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(product_.out));
    std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<std::size_t>(most));
    int found = 0;
    check(api().MatmulAlgoGetHeuristic(library, operation_.get(), w_.get(), x_.get(), out_.get(),
                                       out_.get(), preference.get(), most, results.data(), &found),
          "MatmulAlgoGetHeuristic");
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    for (int i = 0; i < found; ++i) {
      const cublasLtMatmulHeuristicResult_t& result = results[static_cast<std::size_t>(i)];
      if (result.state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(result.algo);
    }
    require(!algorithms.empty(), "cuBLASLt has no kernel for {} x {} x {}", product_.rows,
            product_.outputs, product_.depth);
    return algorithms;
  }

  /// Whether a kernel that was chosen for another number of rows does for this one.
  [[nodiscard]] bool takes(cublasLtHandle_t library, const cublasLtMatmulAlgo_t& algorithm,
                           Bytes bytes) const {
    cublasLtMatmulHeuristicResult_t result{};
    return api().MatmulAlgoCheck(library, operation_.get(), w_.get(), x_.get(), out_.get(),
                                 out_.get(), &algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= bytes;
  }

  [[nodiscard]] cublasStatus_t run(cublasLtHandle_t library, const cublasLtMatmulAlgo_t& algorithm,
                                   std::byte* workspace, Bytes bytes, cudaStream_t stream) const {
    const float one = 1;
    const float zero = 0;
    return api().Matmul(library, operation_.get(), &one, product_.w, w_.get(), product_.x, x_.get(),
                        &zero, product_.out, out_.get(), product_.out, out_.get(), &algorithm,
                        workspace, bytes, stream);
  }

 private:
  static void layout(MatrixLayout& to, cudaDataType_t type, std::int64_t rows, std::int64_t columns,
                     std::int64_t stride) {
    check(api().MatrixLayoutCreate(to.out(), type, static_cast<std::uint64_t>(rows),
                                   static_cast<std::uint64_t>(columns), stride),
          "MatrixLayoutCreate");
  }

  LibraryProduct product_;
  Operation operation_;
  MatrixLayout w_;
  MatrixLayout x_;
  MatrixLayout out_;
};

class CublasLtProducts final : public LibraryProducts {
 public:
  explicit CublasLtProducts(cudaStream_t stream) : stream_(stream) {
    check(api().Create(library_.out()), "Create");
    WEFT_CUDA(cudaEventCreate(begin_.out()));
    WEFT_CUDA(cudaEventCreate(end_.out()));
  }

  void multiply(const LibraryProduct& product, std::byte* workspace, Bytes bytes) override {
    const Problem problem(product);
    const cublasLtMatmulAlgo_t algorithm = choose(product, problem, workspace, bytes);
    check(problem.run(library_.get(), algorithm, workspace, bytes, stream_), "Matmul");
  }

 private:
  /// Rows as a power of two, outputs, depth, and the alignment that kernels may count on.
  using Kind = std::tuple<std::uint64_t, std::int64_t, std::int64_t, std::uint32_t>;

  cublasLtMatmulAlgo_t choose(const LibraryProduct& product, const Problem& problem,
                              std::byte* workspace, Bytes bytes) {
    const Kind kind{std::bit_ceil(static_cast<std::uint64_t>(product.rows)), product.outputs,
                    product.depth, std::min(alignment_of(product.x), alignment_of(product.w))};
    const auto known = results_.find(kind);
    if (known != results_.end() && problem.takes(library_.get(), known->second, bytes)) {
      return known->second;
    }
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    WEFT_CUDA(cudaStreamIsCapturing(stream_, &capture));
    // Nothing can be timed while a graph is recorded, and a kind that is known keeps its kernel.
    const bool timed = capture == cudaStreamCaptureStatusNone && known == results_.end();
    const std::vector<cublasLtMatmulAlgo_t> all =
        problem.proposals(library_.get(), bytes, timed ? kCandidates : 1);
    if (!timed) return all.front();
    std::optional<cublasLtMatmulAlgo_t> best;
    float least = std::numeric_limits<float>::infinity();
    for (const cublasLtMatmulAlgo_t& algorithm : all) {
      const float time = milliseconds(problem, algorithm, workspace, bytes);
      if (time >= least) continue;
      least = time;
      best = algorithm;
    }
    require(best.has_value(), "no kernel of cuBLASLt computes {} x {} x {}", product.rows,
            product.outputs, product.depth);
    return results_.emplace(kind, *best).first->second;
  }

  /// Infinity where the kernel cannot run.
  float milliseconds(const Problem& problem, const cublasLtMatmulAlgo_t& algorithm,
                     std::byte* workspace, Bytes bytes) {
    const auto run = [&] {
      return problem.run(library_.get(), algorithm, workspace, bytes, stream_);
    };
    if (run() != CUBLAS_STATUS_SUCCESS) return std::numeric_limits<float>::infinity();
    WEFT_CUDA(cudaEventRecord(begin_.get(), stream_));
    for (int i = 0; i < kRuns; ++i) check(run(), "Matmul");
    WEFT_CUDA(cudaEventRecord(end_.get(), stream_));
    WEFT_CUDA(cudaEventSynchronize(end_.get()));
    float time = 0;
    WEFT_CUDA(cudaEventElapsedTime(&time, begin_.get(), end_.get()));
    return time;
  }

  cudaStream_t stream_;
  Library library_;
  Event begin_;
  Event end_;
  std::map<Kind, cublasLtMatmulAlgo_t> results_;
};

}  // namespace

std::unique_ptr<LibraryProducts> make_cublaslt_products(cudaStream_t stream) {
  if (cublaslt_api() == nullptr) {
    fail_user(
        "engine.numerics is fast, but libcublasLt.so.{} is not found: add its folder to "
        "LD_LIBRARY_PATH",
        CUDART_VERSION / 1000);
  }
  return std::make_unique<CublasLtProducts>(stream);
}

}  // namespace weft
