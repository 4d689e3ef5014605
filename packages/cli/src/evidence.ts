/** `weft evidence`: checks a file that a replica kept when it met a fork, and says what it proves. */
import { readFile } from 'node:fs/promises'
import { describeRefusal, type Evidence, isRefusal, proveFork, type Refusal } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { type Output, parseFlags, Usage } from './output.ts'
import { inJson as asJson, inLines } from './words.ts'

export const evidenceHelp = `weft evidence FILE [--json]

Checks a file of evidence (evidence-<hash>.cbor, beside the logs of whoever met the fork) and says what it proves. It needs
nothing but the file: compare the network it names with the one you know.

Exit code: 0 it proves a fork, 1 it proves nothing, 2 the command could not be carried out as it was written.
`

export const evidenceCommand = async (args: readonly string[], output: Output): Promise<number> => {
  const { values, positionals } = parseFlags(args, {})
  if (values.help === true) {
    output.out(evidenceHelp)
    return 0
  }
  const [file, ...rest] = positionals
  if (file === undefined || rest.length > 0) throw new Usage('name one file: weft evidence FILE')
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new Usage(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  })
  const evidence = await proveFork(new Uint8Array(bytes), nodeRuntime())
  const proved = isRefusal(evidence) ? undefined : evidence
  if (values.json === true) output.out(asJson(inJson(evidence)))
  else output.out(inLines(proved === undefined ? notProved(evidence) : inWords(proved)))
  return proved === undefined ? 1 : 0
}

const notProved = (why: Evidence | Refusal): string[] =>
  isRefusal(why) ? ['This proves no fork.', `${describeRefusal(why)} [${why.code}]`] : []

const inWords = ({ network, root, fork }: Evidence): string[] => {
  const lines = [`Network ${network}, whose root log is here up to entry ${root.length - 1}.`, '']
  if (fork.kind === 'log') {
    const { first, second } = fork
    lines.push(
      `The authority signed two different entries for one place: entry ${first.n} of epoch ${first.epoch} in the log of ${first.log}.`,
      'Whoever has one of them is told another history than whoever has the other.',
      '',
      ...[first, second].map(
        ({ id, statement, time, signer }) =>
          `  ${id}: a ${statement.kind}, ${new Date(time).toISOString()} by its clock, signed with the key ${signer}`,
      ),
      '',
      "Only somebody with the authority's key can have made both. A server that was put back to an older copy of its folder does",
      'this too. Stop it, compare its folder with other copies (weft audit), and let the network go on from one of them.',
    )
  } else if (fork.kind === 'certificate') {
    const { first, second } = fork
    lines.push(
      `The authority signed two different certificates of ${first.owner} with one number: ${first.number}.`,
      'The certificates of an account are numbered, so that its owner can count them: one of the two was meant to stay unseen.',
      '',
      ...[first, second].map(
        ({ id, session, name, issued, signer }) =>
          `  ${id}: session ${session}, shown as ${name}, ${new Date(issued).toISOString()} by its clock, signed with the key ${signer}`,
      ),
      '',
      "Only somebody with the authority's key can have made both. A server that was put back to an older copy of its folder does",
      'this too. The owner knows which of the two sessions is theirs; end the access of the other one.',
    )
  } else {
    const { first, second, certificate } = fork
    lines.push(
      `The session of ${certificate.name} (${certificate.owner}) signed two different commits for one place: commit ${first.seq} of its`,
      `chain ${first.chain} in ${first.repository}.`,
      '',
      `  ${first.id}`,
      `  ${second.id}`,
      '',
      "Only somebody with that session's key can have made both: it was copied, or its owner means harm. The authority counts one",
      "branch. End the session's access; its owner logs in anew.",
    )
  }
  return lines
}

const inJson = (evidence: Evidence | Refusal): object => {
  if (isRefusal(evidence))
    return { ok: false, code: evidence.code, about: evidence.about, message: describeRefusal(evidence) }
  const { network, fork } = evidence
  if (fork.kind === 'log') {
    const { log, epoch, n } = fork.first
    const ids = [fork.first.id, fork.second.id]
    return { ok: true, network, kind: 'log', log, epoch, n, ids, signers: [fork.first.signer, fork.second.signer] }
  }
  if (fork.kind === 'certificate') {
    const { first, second } = fork
    const { owner, number } = first
    const pair = [first, second]
    const [ids, sessions] = [pair.map(({ id }) => id), pair.map(({ session }) => session)]
    return {
      ok: true,
      network,
      kind: 'certificate',
      owner,
      number,
      ids,
      sessions,
      signers: pair.map(({ signer }) => signer),
    }
  }
  const { first, second, certificate } = fork
  const { owner, name, session } = certificate
  const chain = { chain: first.chain, seq: first.seq, repository: first.repository, ids: [first.id, second.id] }
  return { ok: true, network, kind: 'chain', owner, name, session, ...chain }
}
