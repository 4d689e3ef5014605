/**
 * A server that many devices log in to with the names of few accounts, and whoever has the authority's key and makes certificates of anybody's
 * name: for tests of what the owner of an account gets to see.
 */
import { isRefusal, type Login, limits, type Transport } from '@weft-db/engine'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import {
  type CertificateBody,
  encodeCertificate,
  readCertificate,
} from '../../packages/engine/src/trust/certificate.ts'
import { messageOf, sealBody } from '../../packages/engine/src/trust/signed.ts'
import { type Speaker, Spoken } from '../attacks/spoken.ts'
import { hash } from '../attacks/target.ts'
import type { MemoryPair } from '../sim/memory-transport.ts'
import { Lab, outcomeOf, type Replica } from './lab.ts'

/** Whoever says so is the account: as a provider of identities says it of several devices. */
export const byWord: Login = {
  method: 'word',
  check: async (word) => ({ owner: `word:${String(word)}`, name: String(word) }),
}

export class Accounts {
  readonly lab: Lab
  readonly authority: Replica
  readonly lines = new Map<string, MemoryPair>()

  private constructor(lab: Lab, authority: Replica) {
    this.lab = lab
    this.authority = authority
  }

  static async open(seed: string): Promise<Accounts> {
    const lab = new Lab(seed)
    return new Accounts(lab, await lab.authority({ logins: [byWord] }))
  }

  /** A device with a line to the server and others. */
  async device(name: string, others: readonly Transport[] = []): Promise<Replica> {
    const line = this.lab.line()
    this.lines.set(name, line)
    const replica = await this.lab.start(name, { transports: [line.a, ...others] })
    line.connect()
    await this.lab.until(() => replica.database.status.connection === 'online')
    return replica
  }

  async enter(name: string, account: string, others: readonly Transport[] = []): Promise<Replica> {
    const replica = await this.device(name, others)
    const outcome = outcomeOf(replica.database.login({ method: 'word', credentials: account, name: account }))
    await this.lab.until(() => outcome.current === 'resolved')
    await this.lab.run(100)
    return replica
  }

  /** Closes a device; what it stores stays. */
  async close({ database }: Replica): Promise<void> {
    const closing = database.close()
    await this.lab.run(100)
    await closing
  }

  /** What whoever has the authority's key can make of Ada's name. */
  async pose(change: Partial<CertificateBody> = {}, signer = this.lab.authorityKey): Promise<Speaker> {
    const { database } = this.authority
    const key = this.lab.key('phantom')
    const body = encodeCertificate({
      network: database.network ?? '',
      publicKey: key.publicKey,
      owner: 'word:ada',
      name: 'ada',
      issued: database.clock.now(),
      expires: database.clock.now() + limits.certificateLife,
      number: 2,
      signer: toHex(hash(this.lab.authorityKey.publicKey)),
      ...change,
    })
    const signature = await signer.sign(messageOf('certificate', body, hash))
    const certificate = readCertificate(sealBody(body, signature, hash).bytes, hash)
    if (isRefusal(certificate)) throw new Error(certificate.code)
    return { key, certificate }
  }

  /** Somebody who speaks by hand to whoever has the other end of the line. */
  async speak(speaker: Speaker, line: MemoryPair): Promise<Spoken> {
    const network = this.authority.database.network ?? ''
    let spoken: Spoken | undefined
    line.a.start((channel) => {
      spoken = new Spoken(channel, speaker, { network })
    })
    line.connect()
    await this.lab.until(() => spoken?.isProved === true)
    await this.lab.run(1_000)
    if (spoken === undefined) throw new Error('there is no channel')
    return spoken
  }
}
