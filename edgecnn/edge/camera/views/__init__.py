"""Who looks: a window, a web page, or nobody (lines of JSON). Each reads `Live` at its own pace."""
