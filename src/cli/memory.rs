//! How the C library keeps memory that was given back.

#![expect(unsafe_code, reason = "mallopt has no safe form")]

/// From how many bytes on an allocation goes back to the kernel as soon as it is free.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 256 << 10;

/// By how much the heap grows at once, and what is left at its end when it shrinks. Of many images, each would have the
/// kernel take back and clear again what the one before it had.
#[cfg(target_env = "gnu")]
const STEP: libc::c_int = 1 << 20;

/// Has large allocations given back to the kernel when they are free. By itself glibc keeps larger and larger ones once
/// some were freed, and the holes between them: a third more memory at the peak of a large image.
pub(super) fn settle() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets numbers of the allocator, before there is another thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TOP_PAD, STEP);
    }
}

/// Gives back to the kernel what was freed so far, and lies between what was not: twenty megabytes after a large image
/// was put together, at the moment at which packing wants as much for its buffers. It walks through all that is not
/// free: of many images, ever fewer do it.
pub(super) fn trim() {
    #[cfg(target_env = "gnu")]
    {
        use std::sync::atomic::{AtomicUsize, Ordering};

        static ASKED: AtomicUsize = AtomicUsize::new(1);
        if ASKED.fetch_add(1, Ordering::Relaxed).is_power_of_two() {
            // SAFETY: returns free memory of the allocator, which it may be asked for at any time and by any thread.
            unsafe {
                libc::malloc_trim(0);
            }
        }
    }
}
