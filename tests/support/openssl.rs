//! Certificates as people make them: by the commands of manuals, whatever openssl makes of them.

use std::process::Command;

use crate::support::{Folder, run};

/// A folder in which commands are run.
pub struct Openssl(pub Folder);

impl Openssl {
    pub fn new() -> Openssl {
        Openssl(Folder::new("openssl"))
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> String {
        self.0.0.join(name).display().to_string()
    }

    /// One command of openssl.
    pub fn run(&self, line: &str) {
        let mut command = Command::new("openssl");
        command.args(line.split(' ')).current_dir(&self.0.0);
        let done = run(&mut command);
        assert_eq!(done.code, Some(0), "openssl {line}: {}", done.stderr);
    }

    /// What mosquitto-tls(7) says, with its answers to questions as options: `ca`, `server` (localhost), `client`
    /// (infra), each as `.crt` and `.key`.
    pub fn as_mosquitto_tls(&self) {
        self.run(
            "req -new -x509 -days 3650 -extensions v3_ca -keyout ca.key -out ca.crt -nodes -subj /O=bus/CN=ca",
        );
        for (name, host) in [("server", "localhost"), ("client", "infra")] {
            self.run(&format!("genrsa -out {name}.key 2048"));
            self.run(&format!(
                "req -out {name}.csr -key {name}.key -new -subj /O={name}/CN={host}"
            ));
            self.run(&format!(
                "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt -days 3650"
            ));
        }
    }

    /// A CA `root`, one below it, `between`, and a server's certificate `leaf` below that, with its name.
    pub fn with_intermediate(&self) {
        let extensions = [
            (
                "ca.ext",
                "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n",
            ),
            ("leaf.ext", "subjectAltName=DNS:localhost\n"),
        ];
        for (name, text) in extensions {
            self.0.write(name, text);
        }
        self.run("req -new -x509 -days 3650 -keyout root.key -out root.crt -nodes -subj /CN=root");
        for (name, by, extension) in [("between", "root", "ca"), ("leaf", "between", "leaf")] {
            self.run(&format!(
                "req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
            ));
            self.run(&format!(
                "x509 -req -in {name}.csr -CA {by}.crt -CAkey {by}.key -CAcreateserial -out {name}.crt -days 3650 \
                 -extfile {extension}.ext"
            ));
        }
    }
}
