import { mount } from 'svelte'
import App from './App.svelte'
import './theme.svelte.ts'
import './style.css'

const target = document.getElementById('app')
if (!target) throw new Error('the page has no #app')
mount(App, { target })

// The app itself stays on the device: a reload works while the server is away. Where that is not to be had, it works online only.
if (import.meta.env.PROD && 'serviceWorker' in navigator)
  navigator.serviceWorker.register('/worker.js').catch(() => undefined)
