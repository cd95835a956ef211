//! Whether a folder lies on a disk of this machine.
//!
//! Processes share SQLite's write-ahead log through memory, which no network file system offers.

use std::path::Path;

/// The name of the network file system a folder lies on, if it does.
#[cfg(target_os = "linux")]
pub(super) fn network_kind(folder: &Path) -> Option<&'static str> {
    // What cannot be asked is not refused: opening the file will tell.
    let status = rustix::fs::statfs(folder).ok()?;
    // Some systems widen the number with its sign; the low 32 bits are the magic.
    let magic = u32::try_from(i128::from(status.f_type) & 0xffff_ffff).ok()?;
    network_name(magic)
}

/// The name of the network file system a folder lies on: not told on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn network_kind(_folder: &Path) -> Option<&'static str> {
    None
}

/// Magic numbers as in statfs(2) and the file systems' own sources.
#[cfg(target_os = "linux")]
fn network_name(magic: u32) -> Option<&'static str> {
    match magic {
        0x6969 => Some("nfs"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("smb"),
        0x5346_414f | 0x6b41_4653 => Some("afs"),
        0x00c3_6400 => Some("ceph"),
        0x0102_1997 => Some("9p"),
        0x0116_1970 => Some("gfs2"),
        0x7461_636f => Some("ocfs2"),
        0x0bd0_0bd0 => Some("lustre"),
        0x4750_4653 => Some("gpfs"),
        0x1983_0326 => Some("beegfs"),
        _ => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_local_folder_is_not_refused() {
        let folder = tempfile::tempdir().unwrap();

        assert_eq!(network_kind(folder.path()), None);
    }

    #[test]
    fn nfs_and_smb_are_known_by_their_magic() {
        assert_eq!(network_name(0x6969), Some("nfs"));
        assert_eq!(network_name(0xff53_4d42), Some("smb"));
        assert_eq!(network_name(0xef53), None, "ext4");
    }
}
