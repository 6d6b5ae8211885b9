"""Sliders that charts follow while they are dragged.

Streamlit tells Python of a slider when it is released. Until then a hidden <input> for each slider repeats the position
of its handle, and the charts' parameters are bound to these inputs: no round trip, and charts are never built anew.
"""
import streamlit as st

from explorer.charts import LIVE

KEYS = {"L": "layer", "K": "k"}  # of the sliders, by the parameter that follows them

INPUTS = "".join(f'<input type="hidden" id="{element[1:]}" value="0">' for element in LIVE.values())
PAIRS = ", ".join(f"['.st-key-{KEYS[name]} [role=slider]', '{element}']" for name, element in LIVE.items())
SCRIPT = f"""
<script>
(() => {{
  const sync = () => {{
    for (const [handle, input] of [{PAIRS}]) {{
      const from = document.querySelector(handle), to = document.querySelector(input);
      const value = from?.getAttribute('aria-valuenow');
      if (to && value && to.value !== value) {{
        to.value = value;
        to.dispatchEvent(new Event('input'));
      }}
    }}
  }};
  window.explorerLive?.disconnect();
  window.explorerLive = new MutationObserver(sync);
  window.explorerLive.observe(document.body, {{
    subtree: true, childList: true, attributes: true, attributeFilter: ['aria-valuenow'],
  }});
  sync();
}})();
</script>
"""


def mirror() -> None:
    """Put the inputs on the page; call it before any chart that is bound to them."""
    st.html(INPUTS + SCRIPT, unsafe_allow_javascript=True)
