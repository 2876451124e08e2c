import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, run } from './install.ts'

export interface KeyStore {
  path: string
  password: string
  /** The certificate, which signs itself, as PEM. */
  caFile: string
}

/** A key and a certificate for 127.0.0.1 and localhost, made once per folder by Java's own keytool. */
export async function createKeyStore(dataDir: string): Promise<KeyStore> {
  const store = { path: join(dataDir, 'tls.p12'), password: 'pebbles', caFile: join(dataDir, 'ca.pem') }
  if (await exists(store.caFile)) return store
  const shared = [
    '-alias',
    'broker',
    '-keystore',
    store.path,
    '-storetype',
    'PKCS12',
    '-storepass',
    store.password,
  ]
  const names = ['-dname', 'CN=localhost', '-ext', 'SAN=ip:127.0.0.1,dns:localhost']
  await run('keytool', ['-genkeypair', '-keyalg', 'EC', '-validity', '3650', ...names, ...shared])
  await writeFile(store.caFile, await run('keytool', ['-exportcert', '-rfc', ...shared]))
  return store
}
