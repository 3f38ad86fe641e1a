"""Machine-written text for the sample corpus: passages from `machine_text.txt`, and compositions over topics.

Every word was written for this project by a chat assistant; no third-party text is here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Passage", "compose", "passages"]


@dataclass(frozen=True)
class Passage:
    """One document: `language` is an ISO 639-1 code, `kind` what was asked for (essay, listicle, ...)."""

    language: str
    kind: str
    text: str


def passages() -> list[Passage]:
    """All passages of `machine_text.txt`, in file order."""
    found: list[Passage] = []
    for block in Path(__file__).with_name("machine_text.txt").read_text("utf-8").split("\n=== ")[1:]:
        header, _, text = block.partition("\n")
        language, _, kind = header.partition(" ")
        found.append(Passage(language, kind, text.strip()))
    return found


@dataclass(frozen=True)
class Topic:
    """A subject to write about: its name in running text, five titled pieces of advice, three reasons to care."""

    name: str
    tips: tuple[tuple[str, str], ...]
    reasons: tuple[str, str, str]


def compose(count: int, seed: int = 17) -> list[Passage]:
    """Return `count` different documents in five styles over the topics below, the same ones for the same seed."""
    rng = random.Random(seed)
    writers = (_listicle, _essay, _answer, _bullets, _newsletter)
    made: dict[str, Passage] = {}
    while len(made) < count:
        writer, topic = rng.choice(writers), rng.choice(TOPICS)
        text = "\n\n".join(_capital(paragraph) for paragraph in writer(topic, rng).split("\n\n"))
        made.setdefault(text, Passage("en", writer.__name__.strip("_"), text))
    return list(made.values())


def _listicle(topic: Topic, rng: random.Random) -> str:
    chosen = rng.sample(topic.tips, 4)
    lines = [f"{i}. **{title}.** {detail}" for i, (title, detail) in enumerate(chosen, 1)]
    opening = rng.choice(OPENINGS).format(topic=topic.name)
    return "\n\n".join([opening, *lines, rng.choice(CLOSINGS).format(topic=topic.name)])


def _bullets(topic: Topic, rng: random.Random) -> str:
    chosen = rng.sample(topic.tips, 3)
    lines = "\n".join(f"- **{title}:** {detail}" for title, detail in chosen)
    lead = rng.choice(LEADS).format(topic=topic.name)
    reason = rng.choice(topic.reasons)
    return f"{lead}\n\n{lines}\n\nIt's also worth remembering that {reason}. {rng.choice(OFFERS)}"


def _essay(topic: Topic, rng: random.Random) -> str:
    first, second, third = rng.sample(topic.reasons, 3)
    (_, one), (_, two) = rng.sample(topic.tips, 2)
    thesis = rng.choice(THESES).format(topic=topic.name)
    return (
        f"{thesis} One of the most compelling reasons is that {first}. Furthermore, {second}.\n\n"
        f"{rng.choice(TURNS)} {one} {two}\n\n"
        f"{rng.choice(CONCLUSIONS).format(topic=topic.name)} After all, {third}."
    )


def _answer(topic: Topic, rng: random.Random) -> str:
    (a, one), (b, two), (c, three) = rng.sample(topic.tips, 3)
    reason = rng.choice(topic.reasons)
    return (
        f"{rng.choice(GREETINGS)} When it comes to {topic.name}, there are a few key things to keep in mind.\n\n"
        f"First, {_lower(a)}. {one} Next, {_lower(b)}. {two} Finally, {_lower(c)}. {three}\n\n"
        f"The reason this matters is simple: {reason}. {rng.choice(OFFERS)}"
    )


def _newsletter(topic: Topic, rng: random.Random) -> str:
    (a, one), (b, two) = rng.sample(topic.tips, 2)
    first, second = rng.sample(topic.reasons, 2)
    return (
        f"{rng.choice(HOOKS).format(topic=topic.name)} Because {first} — and {second}.\n\n"
        f"**{a}.** {one}\n\n**{b}.** {two}\n\n"
        f"{rng.choice(SIGN_OFFS).format(topic=topic.name)}"
    )


def _lower(title: str) -> str:
    return title[0].lower() + title[1:]


def _capital(paragraph: str) -> str:
    return paragraph[0].upper() + paragraph[1:]


OPENINGS = (
    "Are you looking to get more out of {topic}? Whether you're a complete beginner or a seasoned pro, these practical "
    "strategies will help you succeed.",
    "In today's fast-paced world, {topic} can feel overwhelming. The good news is that a few simple changes can make "
    "a significant difference. Let's dive in!",
    "Mastering {topic} doesn't have to be complicated. Below, we've compiled the most effective tips to set you on "
    "the path to success.",
    "When it comes to {topic}, knowledge is power. Here is your ultimate guide to getting started with confidence.",
)
CLOSINGS = (
    "By following these steps, you'll be well on your way to mastering {topic}. Remember, progress takes time, so be "
    "patient with yourself and celebrate the small victories along the way!",
    "In conclusion, {topic} is a journey rather than a destination. Embrace the process, stay curious, and don't be "
    "afraid to experiment until you find what works best for you.",
    "With the right mindset and a bit of practice, anyone can unlock the full potential of {topic}. Why not start "
    "today?",
)
LEADS = (
    "Certainly! Here are some key considerations regarding {topic}:",
    "Of course! Below is a concise overview of the most important aspects of {topic}:",
    "Absolutely, I'd be happy to help with {topic}. Here's what you should know:",
    "Great question! There is more to {topic} than meets the eye, so let's break it down:",
)
OFFERS = (
    "Let me know if you'd like more detailed guidance on any of these points!",
    "If you have any specific questions, feel free to ask.",
    "Would you like me to put together a step-by-step plan tailored to your situation?",
    "I hope this helps! Please don't hesitate to reach out if anything is unclear.",
)
THESES = (
    "In recent years, {topic} has gained considerable attention, and for good reason.",
    "The importance of {topic} cannot be overstated in our modern society.",
    "Few subjects shape our daily lives as quietly as {topic}, yet it is often overlooked.",
    "Throughout history, {topic} has served as both a practical necessity and a source of inspiration.",
)
TURNS = (
    "However, it is essential to approach the subject with care.",
    "That being said, there are several challenges that must be taken into account.",
    "Of course, success requires more than good intentions.",
    "Moreover, a thoughtful strategy can foster lasting results.",
)
CONCLUSIONS = (
    "Ultimately, {topic} serves as a testament to the value of dedication and thoughtful planning.",
    "In summary, a balanced approach to {topic} can yield meaningful and lasting benefits.",
    "All things considered, investing time in {topic} is a worthwhile endeavor.",
)
GREETINGS = (
    "Great question!",
    "Thank you for reaching out!",
    "Sure, I'd be glad to help!",
    "That's an excellent topic to explore.",
    "I completely understand where you're coming from.",
)
HOOKS = (
    "Let's be honest: {topic} isn't just a hobby — it's a mindset. Why?",
    "Here's the thing about {topic}: most people overcomplicate it. Why does it deserve a second look?",
    "What if {topic} could quietly change the way you live? It's not as far-fetched as it sounds. Why?",
)
SIGN_OFFS = (
    "The takeaway? Success in {topic} takes consistency, not perfection. Start small and trust the process.",
    "That's the quiet magic of {topic}: not a single breakthrough, but a thousand tiny choices that add up.",
    "So the next time you think about {topic}, remember: it's not about being an expert. It's about showing up.",
)

TOPICS = (
    Topic(
        "home composting",
        (
            ("Balance greens and browns", "Combining kitchen scraps with dry leaves ensures optimal decomposition."),
            ("Keep the pile moist", "Aim for the consistency of a wrung-out sponge to support beneficial microbes."),
            ("Turn it regularly", "Introducing oxygen accelerates the process and prevents unpleasant odors."),
            ("Avoid meat and dairy", "These items can attract pests and disrupt the natural balance of your bin."),
            ("Be patient", "Depending on conditions, finished compost may take anywhere from two to twelve months."),
        ),
        (
            "it significantly reduces the amount of waste that ends up in landfills",
            "rich, healthy soil is the foundation of every thriving garden",
            "small actions at home contribute to a more sustainable future for everyone",
        ),
    ),
    Topic(
        "remote team communication",
        (
            ("Establish clear channels", "Defining which tools serve which purpose minimizes confusion."),
            ("Embrace asynchronous updates", "Written summaries empower colleagues across time zones to stay aligned."),
            ("Schedule regular check-ins", "Brief, focused meetings foster trust and surface challenges early."),
            ("Document decisions", "A shared record ensures transparency and prevents costly misunderstandings."),
            ("Celebrate wins", "Recognizing achievements publicly helps cultivate a sense of belonging."),
        ),
        (
            "effective collaboration is the backbone of any successful organization",
            "misunderstandings can multiply quickly when people rarely meet in person",
            "a connected team is a resilient team",
        ),
    ),
    Topic(
        "learning to play the guitar",
        (
            ("Start with simple chords", "Mastering a handful of open chords unlocks countless popular songs."),
            (
                "Practice a little every day",
                "Short, consistent sessions are far more effective than occasional marathons.",
            ),
            ("Use a metronome", "Developing a steady sense of rhythm is crucial for musical growth."),
            ("Tune before you play", "A well-tuned instrument makes every note sound more satisfying."),
            ("Record yourself", "Listening back provides valuable insight into areas for improvement."),
        ),
        (
            "music has the remarkable ability to reduce stress and spark joy",
            "every accomplished musician was once a beginner",
            "it nurtures patience, creativity, and self-expression",
        ),
    ),
    Topic(
        "cybersecurity for small businesses",
        (
            ("Enable multi-factor authentication", "This additional layer of protection dramatically reduces risk."),
            ("Keep software up to date", "Regular updates address vulnerabilities before they can be exploited."),
            ("Train your employees", "Awareness is often the first and most effective line of defense."),
            ("Back up critical data", "Reliable backups ensure continuity in the event of an incident."),
            ("Limit access privileges", "Granting only necessary permissions helps contain potential damage."),
        ),
        (
            "even a single breach can have far-reaching financial and reputational consequences",
            "customers place tremendous trust in the organizations that hold their data",
            "proactive measures are almost always less costly than recovery",
        ),
    ),
    Topic(
        "mindful eating",
        (
            ("Slow down", "Taking time to chew thoroughly allows your body to recognize fullness."),
            ("Remove distractions", "Putting away your phone helps you savor each bite."),
            ("Listen to your hunger cues", "Learning to distinguish hunger from boredom is a powerful skill."),
            ("Appreciate your food", "Reflecting on where a meal comes from fosters gratitude."),
            ("Choose variety", "A colorful plate offers a wide range of essential nutrients."),
        ),
        (
            "our relationship with food influences both physical and emotional well-being",
            "awareness can transform an everyday habit into a nourishing ritual",
            "lasting change begins with small, intentional choices",
        ),
    ),
    Topic(
        "sustainable travel",
        (
            ("Choose trains over planes", "Rail travel often produces substantially lower emissions."),
            ("Support local businesses", "Spending with local artisans helps communities flourish."),
            ("Pack light", "A lighter load not only simplifies your journey but also reduces fuel use."),
            ("Respect natural areas", "Staying on marked trails protects delicate ecosystems."),
            ("Travel slowly", "Lingering in one place allows for deeper, more authentic experiences."),
        ),
        (
            "the choices we make on the road have a tangible impact on destinations",
            "thoughtful journeys create richer memories",
            "preserving cultural heritage is a shared responsibility",
        ),
    ),
    Topic(
        "digital photography",
        (
            ("Understand natural light", "Soft morning light can elevate even the simplest scene."),
            ("Apply the rule of thirds", "Placing subjects off-center creates a sense of dynamic balance."),
            ("Experiment with perspective", "A low or high angle can reveal unexpected beauty."),
            ("Keep backgrounds simple", "Eliminating clutter draws attention to what truly matters."),
            ("Edit with restraint", "Subtle adjustments enhance an image without overwhelming it."),
        ),
        (
            "a single image can convey emotions that words cannot capture",
            "it encourages us to see the world with fresh eyes",
            "creative skills grow stronger with every frame",
        ),
    ),
    Topic(
        "financial literacy for teenagers",
        (
            ("Open a savings account", "Watching a balance grow provides powerful motivation."),
            ("Track every expense", "Understanding where money goes is the first step toward control."),
            ("Distinguish needs from wants", "This fundamental distinction supports smarter decisions."),
            ("Learn about credit early", "Responsible habits today can open doors tomorrow."),
            ("Set meaningful goals", "Saving becomes more rewarding when there is a clear purpose."),
        ),
        (
            "early lessons about money tend to last a lifetime",
            "confidence with finances promotes independence",
            "informed young people are better equipped to navigate an uncertain economy",
        ),
    ),
    Topic(
        "houseplant care",
        (
            ("Match plants to your light", "Not every corner suits every species, so observe before you buy."),
            ("Avoid overwatering", "Allowing soil to dry between waterings prevents root rot."),
            ("Use pots with drainage", "Proper drainage is essential for healthy roots."),
            ("Dust the leaves", "Clean foliage absorbs light more efficiently and looks vibrant."),
            ("Repot when necessary", "Fresh soil and extra space encourage robust growth."),
        ),
        (
            "greenery brings a sense of calm to any living space",
            "nurturing a living thing can be deeply rewarding",
            "plants offer a simple way to reconnect with nature",
        ),
    ),
    Topic(
        "writing a compelling resume",
        (
            ("Tailor it to the role", "Highlighting relevant experience demonstrates genuine interest."),
            ("Quantify achievements", "Specific numbers make your contributions tangible and memorable."),
            ("Use strong action verbs", "Words such as led, designed, and improved convey impact."),
            ("Keep the layout clean", "A well-organized page ensures readability at a glance."),
            ("Proofread carefully", "Even a minor typo can undermine an otherwise excellent application."),
        ),
        (
            "recruiters often spend only a few seconds on an initial scan",
            "a thoughtful document tells the story of your professional journey",
            "first impressions can open the door to exciting opportunities",
        ),
    ),
    Topic(
        "time management for students",
        (
            ("Use a weekly planner", "Visualizing deadlines helps you allocate your energy effectively."),
            ("Break assignments into steps", "Smaller milestones make large projects feel manageable."),
            ("Study in focused blocks", "Dedicated intervals followed by short breaks boost retention."),
            ("Learn to say no", "Protecting your time is a crucial part of achieving your goals."),
            ("Review each evening", "A brief reflection prepares you for a productive tomorrow."),
        ),
        (
            "balancing academics and personal life is a delicate endeavor",
            "good habits formed early can lead to lifelong success",
            "reduced stress allows for deeper and more meaningful learning",
        ),
    ),
    Topic(
        "electric vehicles",
        (
            (
                "Consider your daily range",
                "Most commutes fall comfortably within the capabilities of modern batteries.",
            ),
            ("Explore charging options", "A home charger offers unparalleled convenience for many drivers."),
            ("Look into incentives", "Various programs may help offset the initial purchase price."),
            ("Compare total cost of ownership", "Lower maintenance expenses can lead to substantial savings."),
            ("Plan longer trips", "Mapping charging stations in advance ensures a smooth journey."),
        ),
        (
            "transportation accounts for a significant share of global emissions",
            "technological advances continue to make batteries more affordable",
            "cleaner streets benefit entire communities",
        ),
    ),
    Topic(
        "community volunteering",
        (
            ("Identify your passion", "Supporting a cause you care about makes the experience more fulfilling."),
            ("Start with a small commitment", "Even a few hours a month can have a profound effect."),
            ("Leverage your skills", "Your professional expertise may be exactly what an organization needs."),
            ("Invite a friend", "Sharing the experience strengthens bonds and multiplies impact."),
            ("Reflect on your contribution", "Taking stock of what you've learned fosters personal growth."),
        ),
        (
            "strong communities are built on mutual support",
            "giving back has been associated with greater happiness",
            "collective effort can address challenges that no individual could solve alone",
        ),
    ),
    Topic(
        "machine learning for beginners",
        (
            ("Build a solid foundation", "A working knowledge of statistics and programming is invaluable."),
            ("Work with real data", "Hands-on projects bridge the gap between theory and practice."),
            ("Start with simple models", "Linear methods provide intuition before you explore complex architectures."),
            ("Evaluate carefully", "Splitting data properly helps prevent overfitting and misleading results."),
            ("Join a community", "Engaging with peers accelerates learning and keeps you motivated."),
        ),
        (
            "data-driven decision-making is transforming virtually every industry",
            "understanding the fundamentals empowers you to question results critically",
            "curiosity remains the most important tool of all",
        ),
    ),
    Topic(
        "healthy workplace boundaries",
        (
            ("Define your working hours", "Communicating availability clearly sets expectations for everyone."),
            ("Take real breaks", "Stepping away from your desk restores focus and creativity."),
            ("Practice saying no gracefully", "Declining a request can be both respectful and necessary."),
            ("Mute notifications after hours", "Disconnecting helps you recharge for the day ahead."),
            ("Seek support when needed", "Reaching out is a sign of strength rather than weakness."),
        ),
        (
            "burnout can affect even the most dedicated professionals",
            "sustainable performance depends on adequate rest",
            "clear limits foster healthier and more respectful relationships",
        ),
    ),
)
