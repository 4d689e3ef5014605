/** Puts the service worker into the build, with the list of files that make the app and a version that follows from their contents. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import type { Plugin } from 'vite'

const source = new URL('worker.js', import.meta.url)
const statics = new URL('public/', import.meta.url)

export const offline = (): Plugin => ({
  name: 'offline',
  apply: 'build',
  enforce: 'post',
  generateBundle(_options, bundle) {
    const built = Object.values(bundle).filter(({ fileName }) => !fileName.endsWith('.map'))
    const version = createHash('sha256')
    for (const file of built) version.update(file.fileName).update(file.type === 'asset' ? file.source : file.code)
    const assets = built.map(({ fileName }) => fileName).filter((name) => name !== 'index.html')
    const files = ['/', ...[...assets, ...readdirSync(statics)].map((name) => `/${name}`)]
    const worker = readFileSync(source, 'utf8')
      .replace('%VERSION%', version.digest('hex').slice(0, 16))
      .replace('%FILES%', JSON.stringify(files))
    this.emitFile({ type: 'asset', fileName: 'worker.js', source: worker })
  },
})
