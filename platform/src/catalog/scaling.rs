//! Configs of functions at qualifiers in the catalog: gone with the function or the alias that they speak of.

use super::{Catalog, Table};
use crate::async_config::AsyncConfig;
use crate::error::PlatformError;
use crate::scaling::{OnDemandConfig, ProvisionConfig};
use crate::storage::{Collection, Expect, Op};

use super::records::Record;

/// Records removed at once.
const CHUNK: usize = 512;

impl Catalog {
    /// Removes the configs whose keys begin with `prefix` and are `wanted`. Called by a writer.
    pub(super) async fn drop_scaling(
        &self,
        prefix: &str,
        wanted: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<(), PlatformError> {
        self.drop_rows(OnDemandConfig::COLLECTION, &self.on_demand, prefix, &wanted).await?;
        self.drop_rows(ProvisionConfig::COLLECTION, &self.provisions, prefix, &wanted).await?;
        self.drop_rows(AsyncConfig::COLLECTION, &self.async_configs, prefix, &wanted).await
    }

    async fn drop_rows<T: Record>(
        &self,
        collection: Collection,
        table: &Table<T>,
        prefix: &str,
        wanted: &(impl Fn(&str) -> bool + Send + Sync),
    ) -> Result<(), PlatformError> {
        let rows = table.all();
        let keys = rows.range(prefix.to_owned()..).map(|(key, _)| key);
        let keys = keys.take_while(|key| key.starts_with(prefix)).filter(|key| wanted(key));
        let keys: Vec<String> = keys.cloned().collect();
        for chunk in keys.chunks(CHUNK) {
            let gone =
                |key: &String| Op::Delete { collection, key: key.clone(), expect: Expect::Any };
            self.commit(chunk.iter().map(gone).collect()).await?;
            table.remove(chunk);
        }
        Ok(())
    }
}
