//! End-to-end tests of the built binary.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod blame;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod desync;
#[cfg(test)]
mod drills;
#[cfg(test)]
mod emulators;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fidelity;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod inside;
#[cfg(test)]
mod operation;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod relay_keys;
#[cfg(test)]
mod relay_life;
#[cfg(test)]
mod relay_locks;
#[cfg(test)]
mod safety;
#[cfg(test)]
mod stale;
