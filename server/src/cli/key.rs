//! `hearth key`: access keys, on a server or, where none runs, on its data directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use hearth_platform::{AccessKey, Keys, NewKey, Origin, Role};
use ureq::http::Method;

use super::Ending;
use super::client::{Call, Client, escape};
use super::run::runtime;
use crate::config::{Settings, Span};
use crate::dialect::function_compute::time;
use crate::dialect::hearth::keys::{CreateKey, KeysReply, MadeKey, RotateKey};
use crate::terminal::{Style, Table, Terminal};

/// Make, list, rotate and revoke access keys
#[derive(Debug, Args)]
pub(super) struct Key {
    /// Work on this data directory, which no server may use meanwhile, instead of on a server
    #[arg(long, value_name = "PATH", global = true)]
    data_dir: Option<PathBuf>,
    /// The file that opens the secrets, if it is not in the data directory
    #[arg(long, value_name = "PATH", global = true, requires = "data_dir")]
    sealing_key: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key; its secret is shown this once
    Create {
        /// What it may do
        #[arg(long, value_enum, default_value = "admin")]
        role: RoleName,
        /// Only with services whose names begin with this
        #[arg(long, default_value = "", value_name = "PREFIX")]
        services: String,
        /// The account that it acts for; the server's own unless given
        #[arg(long)]
        account: Option<String>,
        /// Make a temporary key, with a security token, that lives this long
        #[arg(long, value_name = "TIME")]
        life: Option<Span>,
    },
    /// List all keys
    List,
    /// Give a key another secret
    Rotate {
        /// Its id
        id: String,
        /// How long the secret before it still works
        #[arg(long, value_name = "TIME", default_value = "1h")]
        overlap: Span,
    },
    /// End a key for good
    Revoke {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Call functions
    Invoke,
    /// Also change services and functions
    Deploy,
    /// Also keys
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Invoke => Self::Invoke,
            RoleName::Deploy => Self::Deploy,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// Where the keys are.
enum Place<'a> {
    Server(&'a Client),
    Directory(Box<Keys>, tokio::runtime::Runtime),
}

impl Key {
    pub(super) fn run(self, client: &Client, terminal: &Terminal) -> anyhow::Result<Ending> {
        let place = match &self.data_dir {
            None => Place::Server(client),
            Some(directory) => open(directory, self.sealing_key)?,
        };
        match self.command {
            Command::Create { role, services, account, life } => {
                let life_s = life.map(|life| life.0.as_secs());
                let wanted = CreateKey { role: role.into(), account_id: account, services, life_s };
                tell(&place.create(wanted)?, terminal)
            }
            Command::Rotate { id, overlap } => tell(&place.rotate(&id, overlap.0)?, terminal),
            Command::List => show(&place.list()?, terminal),
            Command::Revoke { id } => {
                place.revoke(&id)?;
                terminal.note(&format!("{} {id}", terminal.paint(Style::Green, "revoked")));
                Ok(Ending::Done)
            }
        }
    }
}

fn open<'a>(directory: &Path, sealing_key: Option<PathBuf>) -> anyhow::Result<Place<'a>> {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    std::fs::create_dir_all(directory)?;
    let runtime = runtime()?;
    let keys = runtime.block_on(Keys::of_directory(directory, sealing_key))?;
    Ok(Place::Directory(Box::new(keys), runtime))
}

impl Place<'_> {
    fn create(&self, wanted: CreateKey) -> anyhow::Result<MadeKey> {
        match self {
            Self::Server(client) => {
                let body = serde_json::to_vec(&wanted)?;
                client.json(Call { body: &body, ..Call::new(Method::POST, "/hearth/v1/keys") })
            }
            Self::Directory(keys, runtime) => {
                let account = wanted.account_id.unwrap_or_else(|| Settings::default().account);
                let mut new = NewKey::new(wanted.role, account);
                new.services = wanted.services;
                new.life = wanted.life_s.map(Duration::from_secs);
                Ok(MadeKey::of(&runtime.block_on(keys.create(new, &Origin::local()))?))
            }
        }
    }

    fn rotate(&self, id: &str, overlap: Duration) -> anyhow::Result<MadeKey> {
        match self {
            Self::Server(client) => {
                let body = serde_json::to_vec(&RotateKey { overlap_s: overlap.as_secs() })?;
                let path = format!("/hearth/v1/keys/{}/rotate", escape(id));
                client.json(Call { body: &body, ..Call::new(Method::POST, path) })
            }
            Self::Directory(keys, runtime) => {
                Ok(MadeKey::of(&runtime.block_on(keys.rotate(id, overlap, &Origin::local()))?))
            }
        }
    }

    fn revoke(&self, id: &str) -> anyhow::Result<()> {
        match self {
            Self::Server(client) => {
                let path = format!("/hearth/v1/keys/{}", escape(id));
                client.send(Call::new(Method::DELETE, path)).map(drop)
            }
            Self::Directory(keys, runtime) => {
                Ok(runtime.block_on(keys.revoke(id, &Origin::local())).map(drop)?)
            }
        }
    }

    fn list(&self) -> anyhow::Result<Vec<AccessKey>> {
        match self {
            Self::Server(client) => {
                let reply: KeysReply = client.json(Call::new(Method::GET, "/hearth/v1/keys"))?;
                Ok(reply.keys)
            }
            Self::Directory(keys, _) => Ok(keys.list()),
        }
    }
}

/// Shows a key and its secret.
fn tell(made: &MadeKey, terminal: &Terminal) -> anyhow::Result<Ending> {
    if terminal.is_json() {
        terminal.line(&serde_json::to_string(made)?)?;
        return Ok(Ending::Done);
    }
    terminal.line(&format!("access key id      {}", made.access_key_id))?;
    terminal.line(&format!("access key secret  {}", made.access_key_secret))?;
    if let Some(token) = &made.security_token {
        terminal.line(&format!("security token     {token}"))?;
    }
    terminal.line(&format!("account id         {}", made.account_id))?;
    terminal.note("the secret is shown this once; from now on requests must be signed, ours with:");
    terminal.note(&format!(
        "  export HEARTH_ACCESS_KEY_ID={} HEARTH_ACCESS_KEY_SECRET=...",
        made.access_key_id
    ));
    Ok(Ending::Done)
}

fn show(keys: &[AccessKey], terminal: &Terminal) -> anyhow::Result<Ending> {
    if terminal.is_json() {
        terminal.line(&serde_json::to_string(&KeysReply { keys: keys.to_vec() })?)?;
        return Ok(Ending::Done);
    }
    if keys.is_empty() {
        terminal.note("no access keys; make one with `hearth key create`");
        return Ok(Ending::Done);
    }
    let mut table = Table::new(&["ID", "ROLE", "SERVICES", "ACCOUNT", "STATE", "CREATED"]);
    for key in keys {
        let state = match (key.is_revoked, key.expire_ms) {
            (true, _) => "revoked".to_owned(),
            (false, Some(expire)) => format!("until {}", time(expire)),
            (false, None) => "active".to_owned(),
        };
        let services =
            if key.services.is_empty() { "all".to_owned() } else { format!("{}*", key.services) };
        table.row([
            key.id.to_string(),
            key.role.as_str().to_owned(),
            services,
            key.account.to_string(),
            state,
            time(key.created_ms),
        ]);
    }
    terminal.data(table.render().as_bytes())?;
    Ok(Ending::Done)
}
