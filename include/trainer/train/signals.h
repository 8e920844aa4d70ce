#pragma once

namespace trainer::train {

/// Lets SIGUSR1 (save and stop) and SIGUSR2 (save and go on) set flags for the step boundary, while this
/// object lives. One at a time.
class SignalFlags {
 public:
  SignalFlags();
  ~SignalFlags();
  SignalFlags(const SignalFlags&) = delete;
  SignalFlags& operator=(const SignalFlags&) = delete;
  bool stop() const;
  /// True once for each signal.
  bool take_checkpoint() const;
};

}  // namespace trainer::train
