// Package sim lives through the life of a cluster in fake time: whole nodes, with their gateways and STOMP servers, over a network, disks and a
// clock in memory, while machines crash, networks part and disks are slow. Clients write down what they were promised and given, and the
// history is checked: nothing receipted is lost, nothing comes twice or out of order, one message has one place on all nodes, a message of a
// queue has one owner and is marked when it comes again, and all nodes make the same of the log.
//
// What is real: broker, cluster with hashicorp/raft and its network transport, gateway, stomp/server, stomp. What is not: sockets, files,
// fsync, time; package storage stands aside for Disk, which keeps what was synced, and of an append that a crash cut short nothing, a
// beginning or all. What is not simulated: a process that stands still (tests of the command do that), damaged bytes, a disk that lies.
//
// `make sim` lives through 2,000 seeds; -sim.seed=N -sim.seeds=1 -sim.log repeats one and prints what its nodes log.
//
// A seed makes the same faults at the same times, but the order in which goroutines run is not under its control: a seed that failed fails
// often, not always.
//
// Goroutines: those of the nodes; one for each client; the nemesis runs on the caller's.
package sim
