package job

// ExitNothingReceived is the exit code of a worker that ended before it reached its queue for the first time. It tells the
// scaler that more workers of the same kind would end alike (EX_CONFIG in sysexits.h).
const ExitNothingReceived = 78
