import { createVectorIndex, readVectorIndexConfig } from '@memplane/vector-index';
import { vectorsDirOf } from './places.ts';
import { hostService } from './worker-host.ts';

hostService(({ setup, invoker }) => {
  const config = readVectorIndexConfig({
    ...process.env,
    MEMPLANE_VECTOR_INDEX_DIR: vectorsDirOf(setup.dataDir),
    MEMPLANE_LOG_LEVEL: setup.logLevel,
    MEMPLANE_AUDIT_DIR: setup.auditDir,
    MEMPLANE_PLANE_TOKEN: setup.planeToken,
  });
  return createVectorIndex(config, { invoker });
});
