/** Who is at the other end of a channel. */
import type { Certificate } from '../trust/certificate.ts'

export interface Peer {
  /** The id of the key it proved. */
  readonly key: string
  readonly publicKey: Uint8Array
  readonly isAuthority: boolean
  readonly certificate: Certificate | undefined
  /** Another replica of this very device: it proved this replica's own key, over a channel that leads nowhere else. */
  readonly isSelf?: boolean
}
