import { FileBlobStore } from '@memplane/blob-store';
import { createMaterializer, readMaterializerConfig } from '@memplane/materializer';
import { archiveDirOf, viewsDirOf } from './places.ts';
import { hostService } from './worker-host.ts';

hostService(async ({ setup, invoker, logAdmin, openLog }) => {
  const { dataDir, logLevel, planeToken } = setup;
  const config = readMaterializerConfig({
    ...process.env,
    MEMPLANE_MATERIALIZER_DIR: viewsDirOf(dataDir),
    MEMPLANE_LOG_LEVEL: logLevel,
    MEMPLANE_AUDIT_DIR: setup.auditDir,
    MEMPLANE_PLANE_TOKEN: planeToken,
  });
  const blobStore = await FileBlobStore.open(archiveDirOf(dataDir));
  return createMaterializer(config, { logReader: await openLog(), logAdmin, invoker, blobStore });
});
