#include "trainer/train/signals.h"

#include <csignal>
#include <initializer_list>

namespace trainer::train {
namespace {

// A signal handler can reach nothing but this.
volatile std::sig_atomic_t stop_flag = 0;
volatile std::sig_atomic_t checkpoint_flag = 0;

void on_stop(int) { stop_flag = 1; }
void on_checkpoint(int) { checkpoint_flag = 1; }

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

SignalFlags::SignalFlags() {
  stop_flag = 0;
  checkpoint_flag = 0;
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT, SIGHUP}) handle(signal, on_stop);
  handle(SIGUSR2, on_checkpoint);
}

SignalFlags::~SignalFlags() {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) handle(signal, SIG_DFL);
  for (const int signal : {SIGUSR1, SIGUSR2})
    handle(signal, SIG_IGN);  // too late to act on, no reason to die
}

bool SignalFlags::stop() const { return stop_flag != 0; }

bool SignalFlags::take_checkpoint() const {
  if (checkpoint_flag == 0) return false;
  checkpoint_flag = 0;  // a signal that comes right now asks for the checkpoint that is made anyway
  return true;
}

}  // namespace trainer::train
