/** The pages: plain HTML that works with a keyboard, a screen reader and, all but the loading, without a script. */

const page = (title: string, main: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title} – Orders</title>
</head>
<body>
<main>
<h1>${title}</h1>
${main}
</main>
</body>
</html>
`

/** The one text for every bad login: it doesn't tell whether there is such a user. */
export const REFUSED = 'This user and password do not go together.'

/** Nothing of what was typed is given back: the page is the same for every bad login. */
export const signIn = (alert = '') =>
  page(
    'Sign in',
    `${alert && `<p role="alert">${alert}</p>\n`}<form method="post" action="/login">
<p><label for="user">User</label><br><input id="user" name="user" autocomplete="username" autocapitalize="none" required></p>
<p><label for="password">Password</label><br><input id="password" name="password" type="password" autocomplete="current-password" required></p>
<p><button>Sign in</button></p>
</form>`,
  )

/** Holds no data: the script loads it from the API, with the cookie that the script can't read. */
export const orders = page(
  'Orders',
  `<p><button id="load" type="button">Load orders</button></p>
<p id="state" role="status"></p>
<ul id="list"></ul>
<form id="add">
<p><label for="item">New order</label><br><input id="item" name="item" maxlength="100" required></p>
<p><button>Add order</button></p>
</form>
<form method="post" action="/logout">
<p><button>Sign out</button></p>
</form>
<script src="/orders.js"></script>`,
)

export const script = `
const [state, list, add] = ['state', 'list', 'add'].map(id => document.getElementById(id))

async function call(init) {
  const response = await fetch('/api/orders', init)
  const body = await response.json()
  const isSignedOut = response.status === 401
  state.textContent = response.ok ? body.orders.length + ' orders' : isSignedOut ? 'You are signed out. ' : 'Refused: ' + body.error
  if (isSignedOut) state.append(Object.assign(document.createElement('a'), { href: '/', textContent: 'Sign in' }))
  list.replaceChildren(...(body.orders ?? []).map(text => Object.assign(document.createElement('li'), { textContent: text })))
}

document.getElementById('load').addEventListener('click', () => call())
add.addEventListener('submit', event => {
  event.preventDefault()
  call({ method: 'POST', body: new URLSearchParams(new FormData(add)) })
})
`

/** What another site shows to lure somebody who is signed in here: one click orders something. */
export const lure = (target: string) =>
  page(
    'You have won',
    `<form method="post" action="${target}"><input type="hidden" name="item" value="1,000 teapots"><p><button>Take the prize</button></p></form>`,
  )
