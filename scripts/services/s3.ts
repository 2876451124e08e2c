import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LOCAL_AWS } from './aws.ts'
import { installOnce } from './install.ts'
import { archiveClasses, downloadJars, javaArguments, javaMissing, LOGBACK } from './java.ts'
import { freePort, startProcess } from './process.ts'
import type { RunningService, Service, StartOptions } from './service.ts'

const VERSION = '4.1.0'
// The one that it names itself is older than what it calls.
const ANNOTATIONS = 'com.fasterxml.jackson.core:jackson-annotations:2.21'
/** Is there from the beginning. */
const BUCKET = 'pebbles'
const folderOf = (cacheDir: string) => join(cacheDir, `s3proxy-${VERSION}`)

/** Buckets are folders below `objects`, objects are files. Signatures are checked. */
export const s3: Service = {
  name: 's3',
  title: `S3Proxy ${VERSION}`,
  missing: (cacheDir) => javaMissing(folderOf(cacheDir)),
  async install(cacheDir) {
    await installOnce(folderOf(cacheDir), async (draft) => {
      await downloadJars(draft, [ANNOTATIONS, `org.gaul:s3proxy:${VERSION}`])
      await writeFile(join(draft, 'logback.xml'), LOGBACK)
    })
    await archiveClasses(folderOf(cacheDir), (dataDir, java) => startS3Proxy({ cacheDir, dataDir }, java))
  },
  start: (options) => startS3Proxy(options),
  at(port) {
    const url = `http://127.0.0.1:${port}`
    return { url, env: { S3_ENDPOINT: url, S3_BUCKET: BUCKET, ...LOCAL_AWS } }
  },
  async answers(port) {
    // Whoever does not sign is refused, and that is an answer.
    return (await fetch(s3.at(port).url, { signal: AbortSignal.timeout(1_000) })).status === 403
  },
}

async function startS3Proxy(options: StartOptions, trial: string[] = []): Promise<RunningService> {
  const port = options.port ?? (await freePort())
  const folder = folderOf(options.cacheDir)
  const objectsDir = join(options.dataDir, 'objects')
  const configuration = join(options.dataDir, 's3proxy.properties')
  await mkdir(join(objectsDir, BUCKET), { recursive: true })
  await writeFile(configuration, configurationOf(port, objectsDir))
  return startProcess(options, {
    command: 'java',
    args: [
      ...trial,
      ...(await javaArguments(folder, 256)),
      `-Dlogback.configurationFile=${join(folder, 'logback.xml')}`,
      'org.gaul.s3proxy.Main',
      '--properties',
      configuration,
    ],
    port,
    ...s3.at(port),
    answers: () => s3.answers(port),
  })
}

function configurationOf(port: number, objectsDir: string): string {
  return `s3proxy.endpoint=${s3.at(port).url}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=${LOCAL_AWS.AWS_ACCESS_KEY_ID}
s3proxy.credential=${LOCAL_AWS.AWS_SECRET_ACCESS_KEY}
jclouds.provider=filesystem-nio2
jclouds.identity=unused
jclouds.credential=unused
jclouds.filesystem.basedir=${objectsDir}
`
}
