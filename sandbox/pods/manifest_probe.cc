// Probes and life-cycle hooks of containers.
#include <algorithm>

#include "runtime/base/signal_name.h"
#include "sandbox/pods/manifest_expand.h"
#include "sandbox/pods/manifest_read.h"
#include "sandbox/spec_checks.h"

namespace fermata::sandbox::pods {
namespace {

using probe::ExecAction;
using probe::GrpcAction;
using probe::HttpAction;
using probe::ProbeSpec;
using probe::SleepAction;
using probe::TcpAction;
using Seconds = std::chrono::seconds;

struct ActionDraft {
  const Node* exec = nullptr;
  const Node* http = nullptr;
  const Node* tcp = nullptr;
  const Node* grpc = nullptr;
  const Node* sleep = nullptr;

  [[nodiscard]] int Count() const {
    return static_cast<int>(std::ranges::count_if(std::initializer_list<const Node*>{exec, http, tcp, grpc, sleep},
                                                  [](const Node* node) { return node != nullptr; }));
  }
};
struct ProbeDraft : ActionDraft {
  int64_t initial_delay = 0, period = 0, timeout = 0, success = 0, failure = 0;
  std::optional<int64_t> grace;
};

template <int64_t Least>
Result<int64_t> ReadAtLeast(const Node& node) {
  ASSIGN_OR_RETURN(const int64_t value, ReadYamlInt(node));
  if (value >= Least && value <= INT32_MAX) return value;
  return BadValue(node, std::to_string(value), " is not in ", std::to_string(Least), "..2147483647");
}
Result<std::optional<int64_t>> ReadPositive(const Node& node) {
  ASSIGN_OR_RETURN(const int64_t value, ReadAtLeast<1>(node));
  return std::optional(value);
}

// A zero is "not given" for all but the delay, as for the API server.
constexpr Field<ProbeDraft> kProbeFields[] = {
    {"exec", Keep<&ProbeDraft::exec>},
    {"httpGet", Keep<&ProbeDraft::http>},
    {"tcpSocket", Keep<&ProbeDraft::tcp>},
    {"grpc", Keep<&ProbeDraft::grpc>},
    {"initialDelaySeconds", Put<&ProbeDraft::initial_delay, ReadAtLeast<0>>},
    {"periodSeconds", Put<&ProbeDraft::period, ReadAtLeast<0>>},
    {"timeoutSeconds", Put<&ProbeDraft::timeout, ReadAtLeast<0>>},
    {"successThreshold", Put<&ProbeDraft::success, ReadAtLeast<0>>},
    {"failureThreshold", Put<&ProbeDraft::failure, ReadAtLeast<0>>},
    {"terminationGracePeriodSeconds", Put<&ProbeDraft::grace, ReadPositive>},
};

constexpr Field<ActionDraft> kHookFields[] = {
    {"exec", Keep<&ActionDraft::exec>},
    {"httpGet", Keep<&ActionDraft::http>},
    {"tcpSocket", Keep<&ActionDraft::tcp>},
    {"sleep", Keep<&ActionDraft::sleep>},
};

constexpr Field<ExecAction> kExecFields[] = {{"command", Put<&ExecAction::command, ReadStrings>}};

Result<ExecAction> ReadExec(const Node& node, const ProbeContext& context) {
  ExecAction action;
  RETURN_IF_ERROR(ReadObject(node, kExecFields, action));
  RETURN_IF_ERROR(Require(node, "command", !action.command.empty()));
  if (context.variables == nullptr) return action;
  size_t left = kMaxArgumentBytes;
  for (std::string& word : action.command) {
    auto expanded = Expand(word, *context.variables, left);
    if (!expanded) return AtNode(node, expanded.error());
    left -= expanded->size();
    word = std::move(*expanded);
  }
  return action;
}

Result<int> ReadPort(const Node& object, const Node* node, const ProbeContext& context) {
  RETURN_IF_ERROR(Require(object, "port", node != nullptr));
  if (TypeName(*node) != "a string") {
    ASSIGN_OR_RETURN(const int64_t number, ReadPortNumber(*node));
    return static_cast<int>(number);
  }
  ASSIGN_OR_RETURN(const std::string name, ReadPortName(*node));
  const auto found = context.ports.find(name);
  if (found == context.ports.end()) return BadValue(*node, "the container has no port named ", Quoted(name));
  return found->second;
}

struct HttpDraft {
  HttpAction out;
  const Node* port = nullptr;
};
struct Header {
  std::string name, value;
};
// A token of RFC 9110.
Result<std::string> ReadHeaderName(const Node& node) {
  ASSIGN_OR_RETURN(std::string name, ReadString(node));
  const bool good = std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  });
  if (name.empty() || !good) return BadValue(node, Quoted(name), " is no name of a header");
  return name;
}
Result<std::string> ReadHeaderValue(const Node& node) {
  ASSIGN_OR_RETURN(std::string value, ReadString(node));
  const bool good = std::ranges::none_of(value, [](char c) { return c == '\r' || c == '\n'; });
  if (!good) return BadValue(node, "a header is one line");
  return value;
}
constexpr Field<Header> kHeaderFields[] = {
    {"name", Put<&Header::name, ReadHeaderName>},
    {"value", Put<&Header::value, ReadHeaderValue>},
};
Result<Header> ReadHeader(const Node& node) {
  Header header;
  RETURN_IF_ERROR(ReadObject(node, kHeaderFields, header));
  RETURN_IF_ERROR(Require(node, "name", !header.name.empty()));
  return header;
}

Result<std::string> ReadHost(const Node& node) {
  ASSIGN_OR_RETURN(std::string host, ReadString(node));
  const bool good = std::ranges::all_of(host, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' ||
           c == '.' || c == ':';
  });
  if (!good) return BadValue(node, Quoted(host), " is no host");
  return host;
}

Result<bool> ReadScheme(const Node& node) {
  ASSIGN_OR_RETURN(const std::string scheme, ReadString(node));
  if (scheme == "HTTP" || scheme == "HTTPS") return scheme == "HTTPS";
  return BadValue(node, Quoted(scheme), " is none of HTTP and HTTPS");
}

Result<std::string> ReadPath(const Node& node) {
  ASSIGN_OR_RETURN(std::string path, ReadString(node));
  const bool good = std::ranges::all_of(path, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 127; });
  if (!good) return BadValue(node, "control character in a path");
  if (path.empty() || path[0] != '/') path.insert(0, "/");
  return path;
}

template <auto Member, auto Read>
Result<> PutHttp(const Node& node, HttpDraft& draft) {
  ASSIGN_OR_RETURN(draft.out.*Member, Read(node));
  return {};
}
constexpr Field<HttpDraft> kHttpFields[] = {
    {"host", PutHttp<&HttpAction::host, ReadHost>},
    {"port", Keep<&HttpDraft::port>},
    {"path", PutHttp<&HttpAction::path, ReadPath>},
    {"scheme", PutHttp<&HttpAction::https, ReadScheme>},
    {"httpHeaders",
     [](const Node& node, HttpDraft& draft) -> Result<> {
       ASSIGN_OR_RETURN(const std::vector<Header> headers, ReadList<Header>(node, ReadHeader));
       for (const Header& header : headers) draft.out.headers.emplace_back(header.name, header.value);
       return {};
     }},
};

Result<HttpAction> ReadHttp(const Node& node, const ProbeContext& context) {
  HttpDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kHttpFields, draft));
  ASSIGN_OR_RETURN(draft.out.port, ReadPort(node, draft.port, context));
  return draft.out;
}

struct TcpDraft {
  std::string host;
  const Node* port = nullptr;
};
constexpr Field<TcpDraft> kTcpFields[] = {
    {"host", Put<&TcpDraft::host, ReadHost>},
    {"port", Keep<&TcpDraft::port>},
};
Result<TcpAction> ReadTcp(const Node& node, const ProbeContext& context) {
  TcpDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kTcpFields, draft));
  ASSIGN_OR_RETURN(const int port, ReadPort(node, draft.port, context));
  return TcpAction{draft.host, port};
}

Result<int> ReadGrpcPort(const Node& node) {
  ASSIGN_OR_RETURN(const int64_t port, ReadPortNumber(node));
  return static_cast<int>(port);
}
constexpr Field<GrpcAction> kGrpcFields[] = {
    {"port", Put<&GrpcAction::port, ReadGrpcPort>},
    {"service", Put<&GrpcAction::service, ReadString>},
};
Result<GrpcAction> ReadGrpc(const Node& node) {
  GrpcAction action;
  RETURN_IF_ERROR(ReadObject(node, kGrpcFields, action));
  RETURN_IF_ERROR(Require(node, "port", action.port != 0));
  return action;
}

Result<int64_t> ReadSleepSeconds(const Node& node) { return ReadAtLeast<0>(node); }
struct SleepDraft {
  std::optional<int64_t> seconds;
};
constexpr Field<SleepDraft> kSleepFields[] = {
    {"seconds",
     [](const Node& node, SleepDraft& draft) -> Result<> {
       ASSIGN_OR_RETURN(draft.seconds, ReadSleepSeconds(node));
       return {};
     }},
};
Result<SleepAction> ReadSleep(const Node& node, Seconds grace) {
  SleepDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kSleepFields, draft));
  RETURN_IF_ERROR(Require(node, "seconds", draft.seconds.has_value()));
  if (*draft.seconds > grace.count()) {
    return BadValue(node, std::to_string(*draft.seconds), " s is longer than the pod's terminationGracePeriodSeconds");
  }
  return SleepAction{Seconds(*draft.seconds)};
}

Result<probe::HookAction> ReadHook(const Node& node, const ProbeContext& context) {
  ActionDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kHookFields, draft));
  if (draft.Count() != 1) return BadValue(node, "needs one of exec, httpGet, tcpSocket and sleep");
  probe::HookAction action;
  ProbeContext plain = context;
  plain.variables = nullptr;  // kubelet expands the commands of probes only
  if (draft.exec != nullptr) {
    ASSIGN_OR_RETURN(action, ReadExec(*draft.exec, plain));
  } else if (draft.http != nullptr) {
    ASSIGN_OR_RETURN(action, ReadHttp(*draft.http, plain));
  } else if (draft.tcp != nullptr) {
    ASSIGN_OR_RETURN(action, ReadTcp(*draft.tcp, plain));
  } else {
    ASSIGN_OR_RETURN(action, ReadSleep(*draft.sleep, context.termination_grace));
  }
  return action;
}

Result<> ReadAction(const Node& node, const ProbeDraft& draft, const ProbeContext& context, ProbeSpec& out) {
  if (draft.Count() != 1) return BadValue(node, "needs one of exec, httpGet, tcpSocket and grpc");
  if (draft.exec != nullptr) {
    ASSIGN_OR_RETURN(out.action, ReadExec(*draft.exec, context));
  } else if (draft.http != nullptr) {
    ASSIGN_OR_RETURN(out.action, ReadHttp(*draft.http, context));
  } else if (draft.tcp != nullptr) {
    ASSIGN_OR_RETURN(out.action, ReadTcp(*draft.tcp, context));
  } else {
    ASSIGN_OR_RETURN(out.action, ReadGrpc(*draft.grpc));
  }
  return {};
}

Result<int> ReadStopSignal(const Node& node) {
  ASSIGN_OR_RETURN(const std::string name, ReadString(node));
  const auto number = ParseSignal(name);
  if (!name.starts_with("SIG") || !number) return BadValue(node, Quoted(name), " is no signal such as SIGTERM");
  return *number;
}

struct LifecycleDraft {
  int stop_signal = 0;
  const Node* post_start = nullptr;
  const Node* pre_stop = nullptr;
};
constexpr Field<LifecycleDraft> kLifecycleFields[] = {
    {"postStart", Keep<&LifecycleDraft::post_start>},
    {"preStop", Keep<&LifecycleDraft::pre_stop>},
    {"stopSignal", Put<&LifecycleDraft::stop_signal, ReadStopSignal>},
};

}  // namespace

Result<int64_t> ReadPortNumber(const Node& node) {
  ASSIGN_OR_RETURN(const int64_t port, ReadYamlInt(node));
  if (port < 1 || port > 65535) return BadValue(node, std::to_string(port), " is not in 1..65535");
  return port;
}

// RFC 6335: at most 15 of a-z, 0-9 and '-', one of them a letter, no '-' at an end or beside another.
Result<std::string> ReadPortName(const Node& node) {
  ASSIGN_OR_RETURN(std::string name, ReadDnsLabel(node));
  const bool letter = std::any_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  if (name.size() <= 15 && letter && name.find("--") == std::string::npos) return name;
  return BadValue(node, Quoted(name), " is no name of a port");
}

Result<ProbeSpec> ReadProbe(const Node& node, probe::ProbeType type, const ProbeContext& context) {
  ProbeDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kProbeFields, draft));
  ProbeSpec out;
  RETURN_IF_ERROR(ReadAction(node, draft, context, out));
  out.initial_delay = Seconds(draft.initial_delay);
  if (draft.period != 0) out.period = Seconds(draft.period);
  if (draft.timeout != 0) out.timeout = Seconds(draft.timeout);
  if (draft.success != 0) out.success_threshold = static_cast<int>(draft.success);
  if (draft.failure != 0) out.failure_threshold = static_cast<int>(draft.failure);
  if (draft.grace) out.termination_grace = Seconds(*draft.grace);
  const bool readiness = type == probe::ProbeType::kReadiness;
  if (!readiness && out.success_threshold != 1) {
    return BadValue(*node.Find("successThreshold"), "must be 1 but for readiness");
  }
  if (readiness && draft.grace) {
    return BadValue(*node.Find("terminationGracePeriodSeconds"), "readiness kills nothing");
  }
  return out;
}

Result<> ReadLifecycle(const Node& node, const ProbeContext& context, probe::ContainerProbes& out) {
  LifecycleDraft draft;
  RETURN_IF_ERROR(ReadObject(node, kLifecycleFields, draft));
  out.stop_signal = draft.stop_signal;
  if (draft.post_start != nullptr) {
    ASSIGN_OR_RETURN(out.post_start, ReadHook(*draft.post_start, context));
  }
  if (draft.pre_stop != nullptr) {
    ASSIGN_OR_RETURN(out.pre_stop, ReadHook(*draft.pre_stop, context));
  }
  return {};
}

}  // namespace fermata::sandbox::pods
