//! Where sockets come from: the kernel, here or in another network namespace, or a recording.
