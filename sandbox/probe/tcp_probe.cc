#include "sandbox/probe/tcp_probe.h"

namespace fermata::sandbox::probe {

void Dial(const NetworkRun& run, int port, std::function<void(Result<UniqueFd>)> done) {
  run.find([run, port, done = std::move(done)](const Result<Destination>& found) {
    if (!found) return done(found.error());
    const std::string place = HostAndPort(found->host, port);
    Transfer transfer{.url = "http://" + place + "/",
                      .headers = {},
                      .connect_only = true,
                      .socket = found->socket,
                      .deadline = run.deadline};
    run.loop->Start(std::move(transfer), [done, place](TransferEnd end) {
      if (end.kind == TransferEnd::Kind::kDone) return done(std::move(end.connection));
      done(Error::Make(ErrorCode::kUnavailable, "dial tcp ", place, ": ", end.error));
    });
  });
}

void RunTcpProbe(const NetworkRun& run, const TcpAction& action, ProbeDone done) {
  Dial(run, action.port, [done = std::move(done)](const Result<UniqueFd>& connection) {
    if (connection) return done({Outcome::kSuccess, ""});
    done({Outcome::kFailure, connection.error().message()});
  });
}

}  // namespace fermata::sandbox::probe
