// A "node" for tests of networks: a network namespace of the test's own, in which the daemon, its plugins and the test
// itself run. Nothing of the machine's network is touched. One thread at a time.
#pragma once

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/cri_client.h"

namespace fermata::testing {

// From now on this thread, and what it starts, is in a new network namespace with `lo` up.
::testing::AssertionResult EnterOwnNetwork();

// The names of the interfaces of this thread's network namespace.
std::set<std::string> Interfaces();

// GET over one connection, from this thread's network namespace; the last line, or "error: ...".
std::string HttpGet(const std::string& address, int port, const std::string& path);

// What a program prints; the test fails when it does not end with 0.
std::string Output(const std::string& directory, const std::vector<std::string>& arguments);

// Listens on this thread's network namespace, and answers each connection with the address that it came from.
class AddressServer {
 public:
  explicit AddressServer(const std::string& address);
  ~AddressServer();
  AddressServer(const AddressServer&) = delete;
  AddressServer& operator=(const AddressServer&) = delete;
  [[nodiscard]] int port() const { return port_; }

 private:
  int socket_ = -1;
  int port_ = 0;
  std::thread thread_;
};

// A host beyond the node: a process in a network namespace with 192.0.2.2 and 2001:db8:2::2, whose other end, of the
// node, is 192.0.2.1 and 2001:db8:2::1. It has no route to the pods.
class RemoteHost {
 public:
  explicit RemoteHost(const std::string& directory);
  // The output of a program of the host's.
  [[nodiscard]] std::string Run(const std::vector<std::string>& arguments) const;
  [[nodiscard]] std::string Get(const std::string& address, int port, const std::string& path) const;
  // Until the destructor: what AddressServer does, on port 9000 of both families.
  void Serve();

 private:
  std::string directory_;
  Program holder_;
  std::vector<Program> servers_;
};

}  // namespace fermata::testing
