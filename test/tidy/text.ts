/** What no file of ours may contain, whatever its kind: paths of one machine and the address of a package registry. */
import { longestFile, longFiles, namesWhatItForbids } from './layout.ts'
import { isTest, type Offence, type Source } from './source.ts'

const machine = /(?<![\w.@}-])\/(work|root)\//
const scratch = /(?<![\w.@}-])\/tmp\b/
const registry =
  /\bregistry\.(npm(?:js|mirror)|yarnpkg)\.\w+|\bhttps?:\/\/[^\s/'"]*\b(registry|artifactory|nexus|verdaccio)\b|\btarball: *https?:/
const prose = /\.(ts|mts|js|mjs|svelte|css|html|md)$/

export const textOffences = (sources: readonly Source[]): Offence[] =>
  sources.flatMap(({ path, text }) => {
    if (namesWhatItForbids(path)) return []
    const offences: Offence[] = []
    const lines = text.split('\n')
    for (const [index, line] of lines.entries()) {
      const add = (rule: string) => offences.push({ rule, path, line: index + 1, text: line.trim().slice(0, 100) })
      if (machine.test(line) || (!isTest(path) && !path.startsWith('test/') && scratch.test(line))) add('machine-path')
      if (registry.test(line)) add('registry-host')
    }
    const length = lines.length - (text.endsWith('\n') ? 1 : 0)
    if (prose.test(path) && length > longestFile && !(path in longFiles)) {
      offences.push({ rule: 'long-file', path, line: longestFile + 1, text: `${length} lines` })
    }
    return offences
  })
