/** Requests about invitations. The server keeps the hash of a code, and nobody but whoever made it knows the code. */
import { fromHex, toHex } from '../bytes/bytes.ts'
import type { AuthorityLog } from '../trust/authoritylog.ts'
import type { Clock } from './clock.ts'
import type { Runtime } from './ports.ts'
import type { Request } from './requests.ts'

const week = 604_800_000

interface Inviting {
  readonly runtime: Runtime
  readonly clock: Clock
}

export const inviteRequest = (
  path: string,
  role: string,
  { uses = 1, expires }: { readonly uses?: number; readonly expires?: number },
  { runtime, clock }: Inviting,
): { readonly request: Request; readonly code: string } => {
  const code = runtime.random(16)
  const secret = toHex(runtime.hash(code))
  const request: Request = { method: 'invite', path, secret, role, expires: expires ?? clock.now() + week, uses }
  return { request, code: toHex(code) }
}

export const withdrawRequest = (
  log: AuthorityLog,
  invitation: { readonly code: string } | { readonly secret: string },
  { runtime }: Inviting,
): Request => {
  const secret = 'code' in invitation ? toHex(runtime.hash(fromHex(invitation.code))) : invitation.secret
  const role = log.invitation(secret)?.statement.role ?? 'none'
  return { method: 'invite', path: log.path, secret, role, expires: 0, uses: 0 }
}
