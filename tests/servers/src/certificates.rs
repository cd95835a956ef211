//! Certificates for servers on this machine, made for one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An authority of its own and a server certificate for 127.0.0.1 and localhost, as PEM files in one folder.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them with `openssl`.
    ///
    /// # Panics
    ///
    /// When that is not there.
    #[track_caller]
    pub fn make(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("the folder can be made");
        let made = Self {
            folder: folder.to_owned(),
        };
        let names = "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n";
        fs::write(folder.join("names"), names).expect("the folder can be written");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        made.openssl(&format!(
            "req -x509 {key} -days 30 -subj /CN=tapemill-test-authority -keyout ca.key -out ca.pem"
        ));
        made.openssl(&format!(
            "req {key} -subj /CN=localhost -keyout server.key -out server.csr"
        ));
        made.openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem",
        );
        made
    }

    /// The authority to trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The server's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The server's key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    #[track_caller]
    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&self.folder)
            .output()
            .expect("openssl is installed; scripts/test installs what the tests need");
        assert!(
            output.status.success(),
            "openssl {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
