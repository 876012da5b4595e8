// Pull, Push, Export and CheckLogin of Images of fermata.v1.
#include <chrono>
#include <memory>

#include "cri/images_service.h"
#include "cri/server.h"
#include "overlay/image/image_export.h"
#include "overlay/registry/image_push.h"

namespace fermata::cri {
namespace {

constexpr auto kTellEvery = std::chrono::milliseconds(100);
constexpr size_t kChunkBytes = size_t{256} << 10;

fv1::LayerProgress::State ToState(overlay::LayerState state) {
  switch (state) {
    case overlay::LayerState::kWaiting:
      return fv1::LayerProgress::WAITING;
    case overlay::LayerState::kFetching:
      return fv1::LayerProgress::FETCHING;
    case overlay::LayerState::kStoring:
      return fv1::LayerProgress::STORING;
    case overlay::LayerState::kDone:
      return fv1::LayerProgress::DONE;
    case overlay::LayerState::kPresent:
      return fv1::LayerProgress::PRESENT;
  }
  return fv1::LayerProgress::WAITING;
}

// Sends a caller's layers when a state has changed, and else at most ten times a second.
class ProgressTeller {
 public:
  explicit ProgressTeller(StreamWriter<fv1::PullProgress>& writer) : writer_(writer) {}

  void Tell(std::span<const overlay::LayerStatus> layers) {
    std::vector<overlay::LayerState> states;
    for (const overlay::LayerStatus& layer : layers) states.push_back(layer.state);
    const auto now = std::chrono::steady_clock::now();
    if (states == states_ && now - last_ < kTellEvery) return;
    states_ = std::move(states);
    last_ = now;
    fv1::PullProgress progress;
    for (const overlay::LayerStatus& layer : layers) {
      fv1::LayerProgress& told = *progress.add_layers();
      told.set_digest(layer.digest);
      told.set_size_bytes(layer.size_bytes);
      told.set_fetched_bytes(layer.fetched_bytes);
      told.set_state(ToState(layer.state));
    }
    (void)writer_.Write(progress);  // a client that has gone cancels the whole
  }

 private:
  StreamWriter<fv1::PullProgress>& writer_;
  std::vector<overlay::LayerState> states_;
  std::chrono::steady_clock::time_point last_;
};

// Runs `body` with a cancellation that the client's going away sets.
template <typename Message, typename Body>
Result<> WithCancellation(StreamWriter<Message>& writer, Body&& body) {
  ASSIGN_OR_RETURN(auto made, overlay::Cancellation::Make());
  const std::shared_ptr<overlay::Cancellation> cancellation = std::move(made);
  writer.OnGone([cancellation] { cancellation->Cancel(); });
  if (writer.cancelled()) cancellation->Cancel();  // it may have gone before
  Result<> done = body(std::shared_ptr<const overlay::Cancellation>(cancellation));
  writer.OnGone({});
  return done;
}

}  // namespace

std::optional<overlay::Credentials> CredentialsOf(bool is_set, const fv1::RegistryCredentials& message) {
  overlay::Credentials credentials;
  credentials.username = message.username();
  credentials.password = message.password();
  credentials.identity_token = message.identity_token();
  credentials.registry_token = message.registry_token();
  if (!is_set || credentials.empty()) return std::nullopt;
  return credentials;
}

grpc::ServerWriteReactor<fv1::PullProgress>* ImagesService::Pull(grpc::CallbackServerContext*,
                                                                 const fv1::PullImageRequest* request) {
  using Writer = StreamWriter<fv1::PullProgress>;
  return new Writer("Images.Pull", engine_.tasks, [this, request = *request](Writer& writer) -> Result<> {
    const PodsService::Client present(presence_);
    return WithCancellation(writer, [&](std::shared_ptr<const overlay::Cancellation> cancellation) -> Result<> {
      ProgressTeller teller(writer);
      overlay::PullOptions options;
      options.credentials = CredentialsOf(request.has_credentials(), request.credentials());
      options.cancellation = std::move(cancellation);
      options.observer = [&](std::span<const overlay::LayerStatus> layers) { teller.Tell(layers); };
      ASSIGN_OR_RETURN(const overlay::ImagePtr image, engine_.puller->Pull(request.image(), options));
      fv1::PullProgress last;
      Fill(*image, *last.mutable_image());
      (void)writer.Write(last);  // fails when the client has gone: the image is there all the same
      return {};
    });
  });
}

grpc::ServerWriteReactor<fv1::PushProgress>* ImagesService::Push(grpc::CallbackServerContext*,
                                                                 const fv1::PushImageRequest* request) {
  using Writer = StreamWriter<fv1::PushProgress>;
  return new Writer("Images.Push", engine_.tasks, [this, request = *request](Writer& writer) -> Result<> {
    const PodsService::Client present(presence_);
    return WithCancellation(writer, [&](std::shared_ptr<const overlay::Cancellation> cancellation) -> Result<> {
      overlay::PushOptions options;
      options.credentials = CredentialsOf(request.has_credentials(), request.credentials());
      options.cancellation = std::move(cancellation);
      options.observer = [&](const std::string& step) {
        fv1::PushProgress progress;
        progress.set_step(step);
        (void)writer.Write(progress);  // a client that has gone cancels the whole
      };
      const std::string& destination = request.destination().empty() ? request.image() : request.destination();
      ASSIGN_OR_RETURN(const std::string digest,
                       overlay::PushImage(*engine_.images, *engine_.registry, request.image(), destination, options));
      fv1::PushProgress last;
      last.set_digest(digest);
      (void)writer.Write(last);
      return {};
    });
  });
}

grpc::ServerWriteReactor<fv1::ExportChunk>* ImagesService::Export(grpc::CallbackServerContext*,
                                                                  const fv1::ExportImagesRequest* request) {
  using Writer = StreamWriter<fv1::ExportChunk>;
  return new Writer("Images.Export", engine_.tasks, [this, request = *request](Writer& writer) -> Result<> {
    const PodsService::Client present(presence_);
    const std::vector<std::string> names(request.images().begin(), request.images().end());
    fv1::ExportChunk chunk;
    const auto send = [&](std::string_view data) -> Result<> {
      for (; !data.empty(); data.remove_prefix(std::min(kChunkBytes, data.size()))) {
        chunk.set_data(data.data(), std::min(kChunkBytes, data.size()));
        if (!writer.Write(chunk)) return Error::Make(ErrorCode::kCancelled, "the client has gone");
      }
      return {};
    };
    return overlay::ExportImages(*engine_.images, names, send);
  });
}

grpc::ServerUnaryReactor* ImagesService::CheckLogin(grpc::CallbackServerContext*, const fv1::CheckLoginRequest* request,
                                                    fv1::CheckLoginResponse*) {
  return new LongCall("Images.CheckLogin", engine_.tasks,
                      [=, this](const LongCall::Cancellation& cancellation) -> Result<> {
                        const PodsService::Client present(presence_);
                        const auto credentials = CredentialsOf(request->has_credentials(), request->credentials());
                        return engine_.registry->CheckLogin(request->registry(),
                                                            credentials.value_or(overlay::Credentials()), cancellation);
                      });
}

}  // namespace fermata::cri
