// Package ecs serves the part of ECS that runs standalone Fargate tasks, over
// the awsJson1_1 protocol: clusters, task definitions, RunTask and StopTask,
// listings, and the task metadata endpoint, version 4.
//
// A task goes PROVISIONING, PENDING, RUNNING, and on its way out DEACTIVATING,
// STOPPING, DEPROVISIONING, STOPPED; it may leave from any of them. It stops
// because its process ends (EssentialContainerExited), because it could not be
// started (TaskFailedToStart), because StopTask was called (UserInitiated), or
// because Spot capacity was taken back (SpotInterruption). A stopped task is described for an hour.
//
// The account has [Figures]: RunTask draws on a launch bucket per capacity
// provider (FARGATE, FARGATE_SPOT), and one that finds too few tokens is refused
// with ThrottlingException and takes none; calls have buckets too; vCPUs,
// addresses, interfaces and capacity run out, so that an answer may have fewer
// tasks than asked for and failures. What chance decides of a task (how long it
// starts, or whether, and when it is interrupted) is drawn when it is launched.
// A request with a clientToken that was answered before is given the same
// answer, or ConflictException if it asks for something else.
//
// The account (account.go, figures.go, place.go, launch.go, task.go) is a state
// machine that takes the time as a parameter. [Server] locks it, and one
// goroutine a task connects it with a [Runtime], which for [ProcessRuntime] means
// a child process, for [FunctionRuntime] a call of a function. [Server.Close] stops all tasks and waits for those goroutines.
// [Model] is the same state machine for whoever keeps the time and the tasks himself, such as a simulation.
//
// Left out: services, EC2 and external instances, more than one container a
// task, and images (the command must be on the machine).
//
// Its neighbour is sandbox, which routes requests here.
package ecs
