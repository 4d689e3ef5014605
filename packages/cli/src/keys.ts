/** Public keys as they are named on a command line, and what the key beside a folder is. No private key leaves this file. */
import { createHash, createPublicKey } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import type { AuditReport } from '@weft-db/engine'
import { Usage } from './output.ts'

/** The id of a public key: SHA-256 of its 65 bytes, hex. */
export const keyId = (publicKey: Uint8Array): string => createHash('sha256').update(publicKey).digest('hex')

/** The public key in a PEM file: that of the private key, if it holds one. Undefined for anything but a key on P-256. */
const publicKeyIn = (pem: string): Uint8Array | undefined => {
  try {
    const { crv, x, y } = createPublicKey(pem).export({ format: 'jwk' })
    if (crv !== 'P-256' || x === undefined || y === undefined) return undefined
    return Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')])
  } catch {
    // The parser's message is no place for a piece of a key to turn up.
    return undefined
  }
}

/** The id of the key that is named: its id, its 65 bytes in hex, or a PEM file. Undefined for what names none. */
const namedKey = async (text: string): Promise<string | undefined> => {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase()
  if (/^04[0-9a-f]{128}$/i.test(text)) return keyId(Buffer.from(text, 'hex'))
  const pem = await readFile(text, 'utf8').catch(() => undefined)
  const publicKey = pem === undefined ? undefined : publicKeyIn(pem)
  return publicKey && keyId(publicKey)
}

/** What an operator names to compare a store with: `--key` and `--network`. Throws `Usage` for what is neither. */
export const trusted = async (given: {
  readonly key?: string | undefined
  readonly network?: string | undefined
}): Promise<{ readonly key?: string; readonly network?: string }> => {
  const key = given.key === undefined ? undefined : await namedKey(given.key)
  if (given.key !== undefined && key === undefined) throw new Usage(`--key ${given.key} is no P-256 key`)
  const network = given.network?.toLowerCase()
  if (network !== undefined && !/^[0-9a-f]{64}$/.test(network)) throw new Usage('--network takes 64 hex digits')
  return { ...(key !== undefined && { key }), ...(network !== undefined && { network }) }
}

/** What the key file beside a store's folder is, in words; undefined when there is none. */
export const keyBeside = async (folder: string, report: AuditReport): Promise<string | undefined> => {
  const file = `${folder.replace(/[/\\]+$/, '')}.key`
  const mode = await stat(file).then(
    (found) => (found.isFile() ? found.mode : undefined),
    () => undefined,
  )
  if (mode === undefined) return undefined
  const exposed =
    process.platform !== 'win32' && (mode & 0o077) !== 0
      ? ` Others may read it: chmod 600 ${file}, and think of a new one.`
      : ''
  const pem = await readFile(file, 'utf8').catch(() => undefined)
  if (pem === undefined) return `${file}: the key file beside the folder, which this user may not read.${exposed}`
  const publicKey = publicKeyIn(pem)
  if (publicKey === undefined) return `${file}: beside the folder, and not a P-256 key in PEM.${exposed}`
  const id = keyId(publicKey)
  const authority = report.keys.find((key) => key.id === id)
  const whose =
    authority !== undefined
      ? `the authority's private key, ${id}${authority.retired === null ? '' : `, retired by entry ${authority.retired}`}. Keep a copy of it elsewhere.`
      : report.keys.length === 0
        ? 'a private key; without a root log nobody can say whose.'
        : "a private key that is not the authority's: a session's, if an app stores here; a server would not start with it."
  return `${file}: ${whose}${exposed}`
}
