// Runs compiled operations without Python, so that several threads may be at them at once.
#include <cstddef>
#include <cstdint>
#include <vector>

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

using Handle = AtenTensorHandle;

// A function of tensors, as torch's compiler makes it: it takes the handles of its inputs, and leaves those of its outputs.
using Run = int32_t (*)(void* model, Handle* in, size_t n_in, Handle* out, size_t n_out, void* stream, void* proxy);

struct Code {
  Run run;
  void** models;      // one for each thread that may run it at the same time
  const Handle* held; // tensors that are inputs of every call, as weights are; each call has handles of its own of them
  size_t n_given;
  size_t n_held;
  size_t n_out;
};

static int32_t run_once(const Code& code, size_t i, const Handle* given, Handle* out) {
  std::vector<Handle> in(given, given + code.n_given);
  for (size_t j = 0; j < code.n_held; ++j) {
    Handle own = nullptr;
    if (int32_t failed = aoti_torch_new_tensor_handle(code.held[j], &own)) return failed;
    in.push_back(own);
  }
  return code.run(code.models[i], in.data(), in.size(), out, code.n_out, nullptr, nullptr);
}

extern "C" {

// Runs it n times on inputs of its own each: each time by one thread, but if n is 1 by all.
int32_t run_each(const Code* code, size_t n, const Handle* given, Handle* out) {
  if (n == 1) return run_once(*code, 0, given, out);
  int32_t failed = 0;
#pragma omp parallel for num_threads(n) schedule(static, 1) reduction(| : failed)
  for (size_t i = 0; i < n; ++i) failed |= run_once(*code, i, given + i * code->n_given, out + i * code->n_out);
  return failed;
}

// Gives what comes of that to other code, after `first` inputs that it has besides.
int32_t run_into(const Code* code, size_t n, const Handle* given, const Code* next, const Handle* first, Handle* out) {
  const size_t n_between = n * code->n_out;
  std::vector<Handle> between(first, first + (next->n_given - n_between));
  between.resize(next->n_given);
  if (int32_t failed = run_each(code, n, given, between.data() + next->n_given - n_between)) return failed;
  return run_once(*next, 0, between.data(), out);
}

int32_t forget(const Handle* handles, size_t n) {
  int32_t failed = 0;
  for (size_t i = 0; i < n; ++i) failed |= aoti_torch_delete_tensor_object(handles[i]);
  return failed;
}
}
