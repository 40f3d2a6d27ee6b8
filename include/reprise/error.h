// The errors that Reprise throws. Every message reads `[stage/op] what failed (got …, want …)`.
//
// All are std::runtime_error, so a caller who does not care catches one type. Throwing never leaves a module,
// context or tensor in a state other than before the call, unless the function's contract says so.
#pragma once

#include <stdexcept>
#include <string>

namespace reprise {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The caller passed something that the function's contract excludes (count, name, dtype, option).
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// The program holds an operation that no converter takes and no foreign executor runs.
class UnsupportedOp : public Error {
 public:
  using Error::Error;
};

/// A rank or size disagrees with the signature, an exported range or an optimization profile.
class ShapeError : public InvalidArgument {
 public:
  using InvalidArgument::InvalidArgument;
};

/// A device is missing, lacks a feature, or reports a failure.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// Host or device memory could not be had. The module stays usable.
class OutOfMemory : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// A file is missing, corrupt, truncated, of a newer major version or not of the kind that was asked for.
class FormatError : public Error {
 public:
  using Error::Error;
};

/// An output file cannot be written (permission, full disk).
class WriteError : public Error {
 public:
  using Error::Error;
};

/// Two runtime modes that exclude each other were asked for together.
class ModeConflict : public Error {
 public:
  using Error::Error;
};

}  // namespace reprise
