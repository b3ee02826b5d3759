"""Pictures and pages of what searches and studies left in their folders.

    files (`records`) -> pictures (`canvas`, `*_pictures`) -> page (`page`), one self-contained HTML document

What only one algorithm knows (LaNAS' tree, NAO's latents) comes as a record of plain arrays, made by its package.
"""
