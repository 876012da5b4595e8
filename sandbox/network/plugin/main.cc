// fermata-cni: the built-in network as a CNI plugin.
#include <unistd.h>

#include <iostream>

#include "runtime/base/file.h"
#include "sandbox/network/plugin/plugin.h"

int main() {
  using namespace fermata;
  constexpr size_t kMaxConfig = size_t{1} << 20;
  std::string version;
  const auto serve = [&]() -> Result<std::string> {
    ASSIGN_OR_RETURN(const std::string input, ReadAll(STDIN_FILENO, kMaxConfig), "standard input");
    ASSIGN_OR_RETURN(const sandbox::PluginRequest request, sandbox::ReadPluginRequest(input));
    version = request.version;
    return sandbox::ServePlugin(request);
  };
  try {
    const auto answer = serve();
    std::cout << (answer ? *answer : sandbox::PluginError(version, answer.error())) << "\n";
    return answer ? 0 : 1;
  } catch (const std::exception& failure) {  // of the JSON library: a value of another type than it should be
    std::cout << sandbox::PluginError(version, {ErrorCode::kInvalidArgument, failure.what()}) << "\n";
    return 1;
  }
}
