/** Builds a page of test/e2e/page into a folder that a server serves, with the worker that holds files of the browser. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'

const bundle = async (source: string): Promise<string> => {
  const { outputFiles } = await build({
    entryPoints: [new URL(source, import.meta.url).pathname],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    conditions: ['weft-source', 'module'],
    logLevel: 'warning',
  })
  // esbuild leaves the worker's address as it is, which is that of a source.
  return (outputFiles[0]?.text ?? '').replaceAll('./opfs-worker.ts', './opfs-worker.js')
}

/** The address of the worker, for a test that keeps it from its page. */
export const workerAddress = '**/opfs-worker.js'

/** `page`, and `worker` if it is to be another one: names of sources in test/e2e/page. Gives the folder. */
export const buildApp = async (within: string, page: string, worker?: string): Promise<string> => {
  const app = join(within, 'app')
  await mkdir(app)
  const html = `<!doctype html><title>${page}</title><script type="module" src="/page.js"></script>`
  await Promise.all([
    bundle(`page/${page}`).then((script) => writeFile(join(app, 'page.js'), script)),
    bundle(worker === undefined ? '../../packages/storage/src/opfs-worker.ts' : `page/${worker}`).then((script) =>
      writeFile(join(app, 'opfs-worker.js'), script),
    ),
    writeFile(join(app, 'index.html'), html),
  ])
  return app
}
