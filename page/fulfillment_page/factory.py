"""Makes what the page is rendered by, of its settings: whatever is broken is said at start."""

from fulfillment_page.languages import Languages
from fulfillment_page.renderer import PageRenderer, Shop, read_logo
from fulfillment_page.settings import PageSettings


def page_renderer(settings: PageSettings) -> tuple[PageRenderer, Languages]:
    """Load templates, catalogues and the logo, and try them.

    Raises:
        SettingsError: one of them is broken.
    """
    languages = Languages(settings.page_catalogues)
    shop = Shop(
        name=settings.shop_name,
        url=settings.shop_url,
        color=settings.page_color,
        dark_color=settings.page_dark_color or settings.page_color,
        logo=read_logo(settings.page_logo) if settings.page_logo else None,
    )
    return PageRenderer(shop, languages, settings.page_templates), languages
