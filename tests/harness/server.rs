//! A server process: started on a free port, spoken to, ended.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{binary, root};
use crate::{PATIENCE, Reply, Running, eventually};

/// How a server is started.
#[derive(Debug, Default)]
pub struct Start {
    arguments: Vec<String>,
    data_dir: Option<PathBuf>,
    files: Option<u32>,
    /// Folders that its settings name.
    pub(crate) folders: Vec<TempDir>,
}

impl Start {
    /// Adds a flag and its value.
    #[must_use]
    pub fn with(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Lets it have no more than so many files and connections.
    #[must_use]
    pub fn with_files(mut self, files: u32) -> Self {
        self.files = Some(files);
        self
    }

    /// Uses a directory that outlives the server.
    #[must_use]
    pub fn on(mut self, data_dir: &Path) -> Self {
        self.data_dir = Some(data_dir.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(self) -> Server {
        let home = tempfile::tempdir().expect("a temporary directory");
        let data_dir = self.data_dir.clone().unwrap_or_else(|| home.path().join("data"));
        let mut server = Server {
            home,
            data_dir,
            arguments: self.arguments,
            files: self.files,
            _folders: self.folders,
            process: None,
            listen: None,
            admin: None,
            tls: None,
        };
        server.run();
        server
    }

    /// Starts it and waits until it gives up; what it said.
    ///
    /// # Panics
    /// When it comes up after all.
    #[must_use]
    pub fn fail(self) -> Output {
        let home = tempfile::tempdir().expect("a temporary directory");
        let data_dir = self.data_dir.clone().unwrap_or_else(|| home.path().join("data"));
        let mut command = Command::new("timeout");
        command.arg("30").arg(binary()).arg("serve").arg("--data-dir").arg(&data_dir);
        if !self.arguments.iter().any(|argument| argument == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(&self.arguments).output().expect("the server's binary starts")
    }
}

/// A running server; ends with this.
#[derive(Debug)]
pub struct Server {
    home: TempDir,
    data_dir: PathBuf,
    arguments: Vec<String>,
    files: Option<u32>,
    _folders: Vec<TempDir>,
    process: Option<Child>,
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    tls: Option<SocketAddr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
    }
}

impl Server {
    /// A server with defaults.
    #[must_use]
    pub fn start() -> Self {
        Start::default().start()
    }

    fn run(&mut self) {
        let ports = self.home.path().join("ports.json");
        // Left by the run before; a missing file is the usual case.
        let _ = std::fs::remove_file(&ports);
        let log = std::fs::File::options().create(true).append(true).open(self.log_path());
        let mut command = match self.files {
            None => Command::new(binary()),
            Some(files) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\"")).arg(binary());
                shell
            }
        };
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&self.data_dir);
        command.arg("--port-file").arg(&ports).args(&self.arguments);
        command.stdout(Stdio::null()).stderr(log.expect("a log file")).env("NO_COLOR", "1");
        self.process = Some(command.spawn().expect("the server's binary starts"));
        eventually("the server's start", || {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            assert!(ended.is_none(), "the server ended with {ended:?}: {}", self.log());
            ports.exists()
        });
        let ports: Value =
            serde_json::from_slice(&std::fs::read(&ports).expect("it can be read")).expect("JSON");
        let address = |name: &str| ports[name].as_str().and_then(|text| text.parse().ok());
        (self.listen, self.admin) = (address("listen"), address("admin_listen"));
        self.tls = address("tls_listen");
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("server.log")
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The lines of its log that hold a text, for whoever wonders why.
    #[must_use]
    pub fn log_about(&self, text: &str) -> String {
        let log = self.log();
        log.lines().filter(|line| line.contains(text)).collect::<Vec<_>>().join("\n")
    }

    /// Where it listens.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listen.expect("the server runs")
    }

    /// Where it listens for TLS.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn tls_address(&self) -> SocketAddr {
        self.tls.expect("the server speaks TLS")
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The files in a folder of its data directory.
    ///
    /// # Panics
    /// When there is no such folder.
    #[must_use]
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        let folder =
            std::fs::read_dir(self.data_dir.join(folder)).expect("a folder of the data directory");
        let mut files: Vec<_> = folder.filter_map(|file| Some(file.ok()?.path())).collect();
        files.retain(|file| file.is_file());
        files.sort();
        files
    }

    /// All files of its data directory.
    #[must_use]
    pub fn all_files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.data_dir.clone()]);
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
            for path in entries.map(|entry| entry.path()) {
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Child::id)
    }

    /// Ends it as a power cut would.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only when it has ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The same from another thread than the one that owns it: the process is gone soon, [`restart`](Self::restart) starts another.
    pub fn kill9_now(&self) {
        if let Some(process) = &self.process {
            let pid = rustix::process::Pid::from_child(process);
            // It fails only when it has ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// Asks it to end and waits; its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub fn terminate(&mut self) -> Option<i32> {
        self.ask_to_stop();
        self.wait()
    }

    /// Waits for the end of a server that was asked to stop; its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> Option<i32> {
        let mut process = self.process.take()?;
        let mut code = None;
        eventually("the server's end", || {
            code = process.try_wait().expect("a child can be waited for");
            code.is_some()
        });
        code.and_then(|status| status.code())
    }

    fn signal_of(&self, process: &Child) {
        let pid = rustix::process::Pid::from_child(process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("it can be signalled");
    }

    /// Sends the signal that asks it to end, and does not wait.
    pub fn ask_to_stop(&self) {
        if let Some(process) = &self.process {
            self.signal_of(process);
        }
    }

    /// Starts it again on the same data.
    pub fn restart(&mut self) {
        self.kill9();
        self.run();
    }

    fn agent() -> ureq::Agent {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .allow_non_standard_methods(true)
            .build()
            .into()
    }

    /// Sends one request.
    ///
    /// # Panics
    /// When no answer comes.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent = Self::agent();
        if body.is_empty() && method != "POST" && method != "PUT" {
            return Reply::from_ureq(agent.run(request.body(()).expect("a request")));
        }
        Reply::from_ureq(agent.run(request.body(body.to_vec()).expect("a request")))
    }

    /// Sends one request to a server that may die meanwhile; none if no whole answer came.
    #[must_use]
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Reply> {
        let uri = format!("http://{}{path}", self.address());
        let mut request = ureq::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = Self::agent().run(request.body(body.to_vec()).ok()?).ok()?;
        Reply::read(response)
    }

    /// Sends JSON to the dialect; `path` is what follows its prefix.
    #[must_use]
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/json")];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.send(method, &format!("/2016-08-15{path}"), &headers, &body)
    }

    /// Gets something of the admin address.
    ///
    /// # Panics
    /// When no answer comes.
    #[must_use]
    pub fn admin(&self, path: &str) -> Reply {
        let address = self.admin.expect("the server runs");
        Reply::from_ureq(Self::agent().get(format!("http://{address}{path}")).call())
    }

    /// The value of a metric, summed over its labels.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.admin("/metrics").text();
        let lines = metrics.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (labelled, value) = line.rsplit_once(' ')?;
            (labelled.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        });
        values.sum()
    }

    /// Runs the command line against this server.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env("HEARTH_SERVER", format!("http://{}", self.address()))
            .env("NO_COLOR", "1");
        command.output().expect("the command line starts")
    }

    /// The same in the folder that holds the README.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn cli_in_repository(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(root()).env("NO_COLOR", "1");
        command.env("HEARTH_SERVER", format!("http://{}", self.address()));
        command.output().expect("the command line starts")
    }

    /// Starts the command line against this server and does not wait for its end.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn cli_start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(binary());
        command.args(arguments).env("HEARTH_SERVER", format!("http://{}", self.address()));
        Running::spawn(command.env("NO_COLOR", "1"))
    }

    /// Resident memory of the process, in bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let statm =
            std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap_or_default();
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
    }

    /// Waits a moment that a test needs to be under way.
    pub fn moment(&self) {
        std::thread::sleep(Duration::from_millis(50));
    }
}
