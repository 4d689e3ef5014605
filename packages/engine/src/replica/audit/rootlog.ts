/** The root log from genesis on: whose network it is, which keys were in force when, and the certificates of the store's own account. */
import { toHex } from '../../bytes/bytes.ts'
import { isRefusal } from '../../bytes/refusal.ts'
import { frameKinds } from '../../log/frame.ts'
import { type Certificate, readCertificate } from '../../trust/certificate.ts'
import { messageOf } from '../../trust/signed.ts'
import type { Runtime } from '../ports.ts'
import { RootLog } from '../rootlog.ts'
import type { LogFile } from './file.ts'
import type { AuditReport, Tell } from './report.ts'

export interface AuditedRoot {
  readonly log: RootLog
  readonly keys: AuditReport['keys']
  /** Of the session whose store this is; none in an authority's. */
  readonly own: readonly Certificate[]
  /** Of the account's other sessions; in an authority's all that it gave. */
  readonly met: readonly Certificate[]
}

/** What is wrong with a certificate, if anything is. */
export const judgeCertificate = async (
  payload: Uint8Array,
  root: RootLog,
  runtime: Runtime,
  tell: (code: Parameters<Tell>[0], about: string) => void,
): Promise<Certificate | undefined> => {
  const hash = (part: Uint8Array): Uint8Array => runtime.hash(part)
  const certificate = readCertificate(payload, hash)
  if (isRefusal(certificate)) {
    tell(certificate.code, 'a certificate')
    return undefined
  }
  const key = root.key(certificate.signer)
  if (certificate.network !== root.network) tell('WrongNetwork', `the certificate of ${certificate.session}`)
  else if (key === undefined) tell('BadCertificate', certificate.session)
  else if (!(await runtime.verify(key, messageOf('certificate', certificate.body, hash), certificate.signature)))
    tell('BadSignature', `the certificate of ${certificate.session}`)
  else return certificate
  return undefined
}

export const auditRoot = async (file: LogFile | undefined, runtime: Runtime, tell: Tell): Promise<AuditedRoot> => {
  const log = new RootLog(runtime)
  const keys: { id: string; publicKey: string; from: number; retired: number | null }[] = []
  const [own, met]: [Certificate[], Certificate[]] = [[], []]
  for (const { kind, payload, offset } of file?.frames ?? []) {
    if (kind === frameKinds.certificate || kind === frameKinds.met) {
      const certificate = await judgeCertificate(payload, log, runtime, (code, about) => tell(code, offset, about))
      if (certificate !== undefined) (kind === frameKinds.met ? met : own).push(certificate)
      continue
    }
    if (kind !== frameKinds.entry) {
      if (kind === frameKinds.commit || kind === frameKinds.pack)
        tell('WrongRepository', offset, 'a commit in the root log')
      continue
    }
    const entry = await log.check(payload)
    if (entry === 'held') continue
    if (isRefusal(entry)) {
      tell(entry.code, offset, entry.about || 'an entry of the root log')
      continue
    }
    log.append(entry)
    const { statement, n } = entry
    if (statement.kind === 'genesis' || statement.kind === 'key') {
      const { publicKey } = statement
      keys.push({ id: toHex(runtime.hash(publicKey)), publicKey: toHex(publicKey), from: n, retired: null })
    } else if (statement.kind === 'retirement') {
      const key = keys.find(({ id, retired }) => id === statement.signer && retired === null)
      if (key === undefined)
        tell('BadEntry', offset, `the retirement of a key that is not in force, ${statement.signer}`)
      else key.retired = n
    }
  }
  return { log, keys, own, met }
}
