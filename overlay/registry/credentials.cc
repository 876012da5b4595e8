#include "overlay/registry/credentials.h"

#include <string.h>

namespace fermata::overlay {
namespace {

// The whole buffer: a text that was longer before left its end there.
void Overwrite(std::string& secret) {
  secret.resize(secret.capacity());
  ::explicit_bzero(secret.data(), secret.size());
}

}  // namespace

Credentials::~Credentials() {
  for (std::string* secret : {&username, &password, &identity_token, &registry_token}) Overwrite(*secret);
}

}  // namespace fermata::overlay
